// Operators on every number for itself: sum, ReLU, and the update of parameters.
#include "nn/cuda/sides.h"
#include "tensor/cuda/bf16_lanes.h"

namespace kronbit::KB_SIDE {
namespace {

__global__ void __launch_bounds__(kOpThreads)
    add_kernel(int64_t pieces, const uint16_t* a, const uint16_t* b, uint16_t* y) {
  for (int64_t item = first_item(); item < pieces; item += item_step()) {
    Eight sum = load_eight(a + item * 8);
    const Eight other = load_eight(b + item * 8);
    KB_UNROLL
    for (int i = 0; i < 8; ++i) sum.v[i] += other.v[i];
    store_eight(y + item * 8, sum);
  }
}

/// y = mask <= 0 ? 0 : x
__global__ void __launch_bounds__(kOpThreads)
    mask_kernel(int64_t pieces, const uint16_t* x, const uint16_t* mask, uint16_t* y) {
  for (int64_t item = first_item(); item < pieces; item += item_step()) {
    Eight v = load_eight(x + item * 8);
    const Eight m = load_eight(mask + item * 8);
    KB_UNROLL
    for (int i = 0; i < 8; ++i) v.v[i] = m.v[i] <= 0 ? 0.0f : v.v[i];
    store_eight(y + item * 8, v);
  }
}

constexpr int kSquareBlocks = static_cast<int>(nn::gradient_squares_workspace(1));

/// The sum of all threads' v in thread 0, and 0 in the others: in pairs, always the same.
__device__ __forceinline__ double sum_of_block(double v) {
  __shared__ double sums[kOpThreads];
  const int t = static_cast<int>(threadIdx.x);
  sums[t] = v;
  for (int half = kOpThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (t < half) sums[t] += sums[t + half];
  }
  return t == 0 ? sums[0] : 0;
}

/// Row y of the grid: one parameter.
__global__ void __launch_bounds__(kOpThreads) squares_kernel(const nn::SgdParameter* parameters, double* parts) {
  const nn::SgdParameter k = parameters[blockIdx.y];
  double sum = 0;
  for (int64_t i = first_item(); k.gradient != nullptr && i < k.count; i += item_step()) {
    const double g = static_cast<double>(k.gradient[i]);
    sum += g * g;
  }
  sum = sum_of_block(sum);
  if (threadIdx.x == 0) parts[blockIdx.y * kSquareBlocks + blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kOpThreads) add_squares_kernel(const double* parts, int count, double* squares) {
  double sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kOpThreads) sum += parts[i];
  sum = sum_of_block(sum);
  if (threadIdx.x == 0) *squares = sum;
}

/// Row y of the grid: one parameter.
__global__ void __launch_bounds__(kOpThreads)
    sgd_kernel(const nn::SgdParameter* parameters, const nn::SgdNumbers* numbers) {
  const nn::SgdParameter k = parameters[blockIdx.y];
  const nn::SgdNumbers s = *numbers;
  if (k.gradient == nullptr) return;
  float factor = 1;
  if (s.squares != nullptr) {
    if (!isfinite(*s.squares)) return;
    if (s.max_norm > 0) factor = static_cast<float>(s.max_norm / (sqrt(*s.squares) + 1e-6));
    if (!(factor < 1)) factor = 1;
  }
  for (int64_t i = first_item(); i < k.count; i += item_step()) {
    const float before = k.p[i], g = k.gradient[i] * factor + s.decay * before;
    float change = g;
    if (k.velocity != nullptr) {
      const float v = s.momentum * k.velocity[i] + g;
      k.velocity[i] = v;
      change = s.nesterov != 0 ? g + s.momentum * v : v;
    }
    k.p[i] = before - s.lr * change;
  }
}

}  // namespace

void add(int64_t count, const bf16* a, const bf16* b, bf16* y, const DeviceQueue& queue) {
  if (count > 0) launch(blocks_for(count / 8, queue), add_kernel)(count / 8, bits(a), bits(b), bits(y));
}

void relu(int64_t count, const bf16* x, bf16* y, const DeviceQueue& queue) {
  if (count > 0) launch(blocks_for(count / 8, queue), mask_kernel)(count / 8, bits(x), bits(x), bits(y));
}

void relu_backward(int64_t count, const bf16* dy, const bf16* y, bf16* dx, const DeviceQueue& queue) {
  if (count > 0) launch(blocks_for(count / 8, queue), mask_kernel)(count / 8, bits(dy), bits(y), bits(dx));
}

void gradient_squares(const nn::SgdParameter* parameters, int count, double* workspace, double* squares,
                      const DeviceQueue& queue) {
  Launch at{.blocks_x = kSquareBlocks,
            .blocks_y = static_cast<unsigned>(count),
            .threads = kOpThreads,
            .stream = queue.stream,
            .backward = queue.backward};
  if (count > 0) launch(at, squares_kernel)(parameters, workspace);
  at.blocks_x = at.blocks_y = 1;
  launch(at, add_squares_kernel)(workspace, count * kSquareBlocks, squares);
}

void sgd(const nn::SgdParameter* parameters, int count, int64_t largest, const nn::SgdNumbers* numbers,
         const DeviceQueue& queue) {
  if (count == 0 || largest == 0) return;
  Launch at = blocks_for(largest, queue);
  at.blocks_x = min(at.blocks_x, 512u);
  at.blocks_y = static_cast<unsigned>(count);
  launch(at, sgd_kernel)(parameters, numbers);
}

}  // namespace kronbit::KB_SIDE
