// Batch normalization in training. Sums over rows are taken in parts: a block sums the rows of one part, in float and
// in an order that the shape fixes; a second kernel adds the parts in double, in order, and makes per-channel numbers
// of them; a third applies those. A thread works on eight neighbouring channels.
#include "nn/cuda/sides.h"
#include "tensor/cuda/bf16_lanes.h"

namespace kronbit::KB_SIDE {
namespace {

constexpr int kMostPieces = 64;  // of eight channels, of one block

struct SumWork {
  const uint16_t *y, *dz, *mask;  // dz null: moments of y; mask may be null
  const float* centre;            // [channels]
  int64_t rows, rows_of_part;
  int pitch, channels;
  float* parts;  // [part][2][pitch]
};

__device__ __forceinline__ Eight numbers_of_eight(const float* from) {
  const float4 a = *reinterpret_cast<const float4*>(from), b = *reinterpret_cast<const float4*>(from + 4);
  return {{a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w}};
}

/// The gradient behind a ReLU whose output is `mask`.
__device__ __forceinline__ Eight masked(const uint16_t* dz, const uint16_t* mask, int64_t at) {
  Eight g = load_eight(dz + at);
  if (mask == nullptr) return g;
  const Eight z = load_eight(mask + at);
  KB_UNROLL
  for (int i = 0; i < 8; ++i) g.v[i] = z.v[i] <= 0 ? 0.0f : g.v[i];
  return g;
}

/// Sums of d = y - centre and d d, or of g and g d.
template <bool kGradient>
__global__ void __launch_bounds__(kOpThreads) sum_kernel(SumWork k) {
  __shared__ float sums[kOpThreads][17];  // 16 and one so that columns lie in different banks
  const int first_piece = static_cast<int>(blockIdx.y) * kMostPieces;
  const int pieces = min(kMostPieces, k.pitch / 8 - first_piece), across = kOpThreads / pieces;
  const int t = static_cast<int>(threadIdx.x), piece = t % pieces, group = t / pieces;
  const int channel = (first_piece + piece) * 8;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * k.rows_of_part;
  const int64_t end = first + k.rows_of_part < k.rows ? first + k.rows_of_part : k.rows;
  float centre[8], one[8] = {}, two[8] = {};
  KB_UNROLL
  for (int i = 0; i < 8; ++i) centre[i] = channel + i < k.channels ? k.centre[channel + i] : 0.0f;
  for (int64_t r = group < across ? first + group : end; r < end; r += across) {
    const int64_t at = r * k.pitch + channel;
    const Eight y = load_eight(k.y + at);
    if constexpr (kGradient) {
      const Eight g = masked(k.dz, k.mask, at);
      KB_UNROLL
      for (int i = 0; i < 8; ++i) {
        one[i] += g.v[i];
        two[i] += g.v[i] * (y.v[i] - centre[i]);
      }
    } else {
      KB_UNROLL
      for (int i = 0; i < 8; ++i) {
        const float d = y.v[i] - centre[i];
        one[i] += d;
        two[i] += d * d;
      }
    }
  }
  KB_UNROLL
  for (int i = 0; i < 8; ++i) {
    sums[t][i] = one[i];
    sums[t][8 + i] = two[i];
  }
  __syncthreads();
  float* to = k.parts + static_cast<int64_t>(blockIdx.x) * 2 * k.pitch + first_piece * 8;
  for (int at = t; at < pieces * 16; at += kOpThreads) {
    const int lane = at % (pieces * 8), which = at / (pieces * 8);
    float sum = 0;
    for (int g = 0; g < across; ++g) sum += sums[g * pieces + lane / 8][which * 8 + lane % 8];
    to[which * k.pitch + lane] = sum;
  }
}

// Threads of a block: one sector of memory (8 floats) wide, so that few channels still occupy several multiprocessors.
constexpr int kFinishChannels = 8, kFinishGroups = 64;

/// The two sums of a channel over all parts; for the threads of group 0 only.
__device__ __forceinline__ void add_parts(const float* parts, int count, int pitch, double& one, double& two) {
  __shared__ double sums[2][kFinishGroups][kFinishChannels];
  const int lane = static_cast<int>(threadIdx.x) % kFinishChannels,
            group = static_cast<int>(threadIdx.x) / kFinishChannels;
  const int channel = static_cast<int>(blockIdx.x) * kFinishChannels + lane;
  one = two = 0;
  KB_UNROLL
  for (int p = group; p < count; p += kFinishGroups) {
    const float* from = parts + static_cast<int64_t>(p) * 2 * pitch + channel;
    one += static_cast<double>(from[0]);
    two += static_cast<double>(from[pitch]);
  }
  sums[0][group][lane] = one;
  sums[1][group][lane] = two;
  __syncthreads();
  if (group > 0) return;
  for (int g = 1; g < kFinishGroups; ++g) {
    one += sums[0][g][lane];
    two += sums[1][g][lane];
  }
}

/// Mean and variance of channel c to its coefficients.
__device__ __forceinline__ void store_coefficients(const nn::NormLayer& n, int pitch, int c, double mean,
                                                   double variance) {
  const double inverse = 1.0 / sqrt(variance + n.eps);
  n.coefficients[c] = static_cast<float>(mean);
  n.coefficients[pitch + c] = static_cast<float>(inverse);
  n.coefficients[2 * pitch + c] = static_cast<float>(static_cast<double>(n.weight[c]) * inverse);
  n.coefficients[3 * pitch + c] = n.bias[c];
}
__device__ __forceinline__ void clear_coefficients(float* coefficients, int pitch, int count, int c) {
  for (int i = 0; i < count; ++i) coefficients[i * pitch + c] = 0;
}

__global__ void finish_kernel(nn::NormLayer n, int pitch, const float* parts, int count, const float* centre) {
  double sum, squares;
  add_parts(parts, count, pitch, sum, squares);
  const int c = static_cast<int>(blockIdx.x) * kFinishChannels + static_cast<int>(threadIdx.x);
  if (static_cast<int>(threadIdx.x) >= kFinishChannels) return;
  if (c >= n.channels) return clear_coefficients(n.coefficients, pitch, 4, c);
  const double rows = static_cast<double>(n.rows), shift = sum / rows, mean = static_cast<double>(centre[c]) + shift;
  double variance = squares / rows - shift * shift;
  variance = variance < 0 ? 0 : variance;  // what rounding leaves; NaN stays
  store_coefficients(n, pitch, c, mean, variance);
  const double old_mean = static_cast<double>(n.running_mean[c]), old_var = static_cast<double>(n.running_var[c]);
  n.running_mean[c] = static_cast<float>((1 - n.momentum) * old_mean + n.momentum * mean);
  n.running_var[c] = static_cast<float>((1 - n.momentum) * old_var + n.momentum * (rows / (rows - 1)) * variance);
}

__global__ void fixed_kernel(nn::NormLayer n, int pitch) {
  const int c = static_cast<int>(first_item());
  if (c >= pitch) return;
  if (c >= n.channels) return clear_coefficients(n.coefficients, pitch, 4, c);
  store_coefficients(n, pitch, c, static_cast<double>(n.running_mean[c]), static_cast<double>(n.running_var[c]));
}

/// backward[0..2]: dy = a g + (b (y - mean) + d).
__global__ void finish_backward_kernel(nn::NormLayer n, int pitch, const float* parts, int count, float* backward,
                                       float* dweight, float* dbias) {
  double sum, products;
  add_parts(parts, count, pitch, sum, products);
  const int c = static_cast<int>(blockIdx.x) * kFinishChannels + static_cast<int>(threadIdx.x);
  if (static_cast<int>(threadIdx.x) >= kFinishChannels) return;
  if (c >= n.channels) return clear_coefficients(backward, pitch, 3, c);
  const double inverse = static_cast<double>(n.coefficients[pitch + c]), w = static_cast<double>(n.weight[c]);
  const double rows = static_cast<double>(n.rows), gradient = products * inverse;
  dweight[c] = static_cast<float>(gradient);
  dbias[c] = static_cast<float>(sum);
  backward[c] = static_cast<float>(w * inverse);
  backward[pitch + c] = static_cast<float>(-w * inverse * inverse * gradient / rows);
  backward[2 * pitch + c] = static_cast<float>(-w * inverse * sum / rows);
}

struct ApplyWork {
  const uint16_t *y, *residual, *dz, *mask;
  uint16_t *to, *to_residual;
  const float *coefficients, *backward;
  int64_t pieces;
  int pitch;
  bool relu;
};

__global__ void __launch_bounds__(kOpThreads) normalize_kernel(ApplyWork k) {
  for (int64_t item = first_item(); item < k.pieces; item += item_step()) {
    const int channel = static_cast<int>(static_cast<unsigned>(item) % static_cast<unsigned>(k.pitch / 8)) * 8;
    const Eight mean = numbers_of_eight(k.coefficients + channel);
    const Eight scale = numbers_of_eight(k.coefficients + 2 * k.pitch + channel);
    const Eight shift = numbers_of_eight(k.coefficients + 3 * k.pitch + channel);
    Eight z = load_eight(k.y + item * 8);
    KB_UNROLL
    for (int i = 0; i < 8; ++i) z.v[i] = (z.v[i] - mean.v[i]) * scale.v[i] + shift.v[i];
    if (k.residual != nullptr) {
      const Eight residual = load_eight(k.residual + item * 8);
      KB_UNROLL
      for (int i = 0; i < 8; ++i) z.v[i] += residual.v[i];
    }
    if (k.relu) {
      KB_UNROLL
      for (int i = 0; i < 8; ++i) z.v[i] = z.v[i] <= 0 ? 0.0f : z.v[i];
    }
    store_eight(k.to + item * 8, z);
  }
}

__global__ void __launch_bounds__(kOpThreads) normalize_backward_kernel(ApplyWork k) {
  for (int64_t item = first_item(); item < k.pieces; item += item_step()) {
    const int channel = static_cast<int>(static_cast<unsigned>(item) % static_cast<unsigned>(k.pitch / 8)) * 8;
    const Eight mean = numbers_of_eight(k.coefficients + channel), a = numbers_of_eight(k.backward + channel);
    const Eight b = numbers_of_eight(k.backward + k.pitch + channel);
    const Eight d = numbers_of_eight(k.backward + 2 * k.pitch + channel);
    const Eight g = masked(k.dz, k.mask, item * 8);
    Eight y = load_eight(k.y + item * 8);
    KB_UNROLL
    for (int i = 0; i < 8; ++i) y.v[i] = a.v[i] * g.v[i] + (b.v[i] * (y.v[i] - mean.v[i]) + d.v[i]);
    if (k.to_residual != nullptr) store_eight(k.to_residual + item * 8, g);
    store_eight(k.to + item * 8, y);
  }
}

void start_sums(const SumWork& work, const DeviceQueue& queue) {
  SumWork k = work;
  k.rows_of_part = nn::sum_rows_of_part(k.rows);
  if (k.rows == 0 || k.channels == 0) return;
  const int pieces = k.pitch / 8;
  launch({.blocks_x = static_cast<unsigned>((k.rows + k.rows_of_part - 1) / k.rows_of_part),
          .blocks_y = static_cast<unsigned>((pieces + kMostPieces - 1) / kMostPieces),
          .threads = kOpThreads,
          .stream = queue.stream,
          .backward = queue.backward},
         k.dz != nullptr ? sum_kernel<true> : sum_kernel<false>)(k);
}

Launch finish_blocks(int pitch, const DeviceQueue& queue) {
  return {.blocks_x = static_cast<unsigned>(pitch / kFinishChannels),
          .threads = kFinishChannels * kFinishGroups,
          .stream = queue.stream,
          .backward = queue.backward};
}

}  // namespace

void norm_sums(const nn::NormLayer& n, const bf16* y, const float* centre, float* parts, const DeviceQueue& queue) {
  start_sums({bits(y), nullptr, nullptr, centre, n.rows, 0, nn::channels_pitch(n.channels), n.channels, parts}, queue);
}

void norm_finish(const nn::NormLayer& n, const float* parts, int count, const float* centre, const DeviceQueue& queue) {
  const int pitch = nn::channels_pitch(n.channels);
  if (pitch == 0) return;
  launch(finish_blocks(pitch, queue), finish_kernel)(n, pitch, parts, count, centre);
}

void norm_fixed(const nn::NormLayer& n, const DeviceQueue& queue) {
  const int pitch = nn::channels_pitch(n.channels);
  if (pitch == 0) return;
  launch(blocks_for(pitch, queue), fixed_kernel)(n, pitch);
}

void normalize(const nn::NormLayer& n, const bf16* y, const bf16* residual, bool relu, bf16* z,
               const DeviceQueue& queue) {
  const int pitch = nn::channels_pitch(n.channels);
  const int64_t pieces = n.rows * pitch / 8;
  if (pieces == 0) return;
  launch(blocks_for(pieces, queue), normalize_kernel)(ApplyWork{bits(y), bits(residual), nullptr, nullptr, bits(z),
                                                                nullptr, n.coefficients, nullptr, pieces, pitch, relu});
}

void normalize_backward(const nn::NormLayer& n, const bf16* dz, const bf16* z, const bf16* y, float* parts,
                        float* backward, bf16* dy, bf16* dresidual, float* dweight, float* dbias,
                        const DeviceQueue& queue) {
  const int pitch = nn::channels_pitch(n.channels);
  const int64_t pieces = n.rows * pitch / 8, rows_of_part = nn::sum_rows_of_part(n.rows);
  if (pieces == 0) return;
  start_sums({bits(y), bits(dz), bits(z), n.coefficients, n.rows, 0, pitch, n.channels, parts}, queue);
  launch(finish_blocks(pitch, queue), finish_backward_kernel)(
      n, pitch, parts, static_cast<int>((n.rows + rows_of_part - 1) / rows_of_part), backward, dweight, dbias);
  launch(blocks_for(pieces, queue), normalize_backward_kernel)(ApplyWork{
      bits(y), nullptr, bits(dz), bits(z), bits(dy), bits(dresidual), n.coefficients, backward, pieces, pitch, false});
}

}  // namespace kronbit::KB_SIDE
