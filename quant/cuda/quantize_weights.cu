// Weights as a forward pass in training sees them: b-bit integers times a multiplier, as quant/quantizer.h defines
// them, with the same bits as on the processor. One warp for every block of channels of one output and tap; lane =
// channel, 32 of them at a time.
//
// The sum of w q is in double, as eight partial sums (channel c goes to sum c mod 8): every lane adds up sum `lane mod
// 8` from the products of the four lanes that have them, in the order of the channels. Then the halves meet: sums k and
// k + 4, k + 2, k + 1, the same in both lanes because an addition does not depend on its order.
#include "quant/cuda/sides.h"

namespace kronbit::KB_SIDE {
namespace {

constexpr int kThreads = 256;
constexpr unsigned kAll = 0xffffffffu;
constexpr float kSmallestExtreme = 0x1p-120f;  // below, a block counts as zero

enum Rule { kSignedExtreme, kBinary, kPaperFloor };  // as quant::Mode

struct WeightWork {
  const float* w;
  float* y;
  int64_t blocks;  // of all outputs and taps
  int channels, taps, block, blocks_of_row;
  float levels;
};

/// The element of largest magnitude, of two the positive one, as its magnitude's bits and then 1 if it is positive:
/// these compare as unsigned integers, and a NaN is larger than an infinity.
__device__ __forceinline__ unsigned extreme_key(float v) {
  const unsigned bits = __float_as_uint(v);
  return bits << 1 | (bits >> 31 ^ 1u);
}

template <Rule kRule>
__device__ __forceinline__ float integer_of(float w, float extreme, float levels, bool zeros) {
  if constexpr (kRule == kBinary) return w < 0 ? -1.0f : 1.0f;
  if (zeros) return 0;
  const float q = kRule == kSignedExtreme ? rintf(-levels / extreme * w) : floorf(w / fabsf(extreme) * levels);
  return fminf(fmaxf(q, -levels), levels - 1) + 0.0f;  // no -0
}

template <Rule kRule>
__global__ void __launch_bounds__(kThreads, 2) weights_kernel(WeightWork k) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int64_t number = static_cast<int64_t>(blockIdx.x) * (kThreads / 32) + static_cast<int64_t>(threadIdx.x) / 32;
  if (number >= k.blocks) return;
  const int64_t row = number / k.taps, output = row / k.blocks_of_row;
  const int tap = static_cast<int>(number % k.taps), first = static_cast<int>(row % k.blocks_of_row) * k.block;
  const int count = min(k.block, k.channels - first);
  const int64_t base = (output * k.channels + first) * k.taps + tap;

  unsigned key = 0;
  for (int c = lane; c < count; c += 32) key = max(key, extreme_key(k.w[base + static_cast<int64_t>(c) * k.taps]));
  key = __reduce_max_sync(kAll, key);
  const float magnitude = __uint_as_float(key >> 1), extreme = (key & 1u) != 0 ? magnitude : -magnitude;
  const bool strange = key >> 1 >= 0x7f800000u, zero = magnitude < kSmallestExtreme;

  double products = 0;
  int squares = 0;
  for (int c = 0; c < count; c += 32) {
    const bool live = c + lane < count;
    const float w = live ? k.w[base + static_cast<int64_t>(c + lane) * k.taps] : 0.0f;
    const float q = live ? integer_of<kRule>(w, extreme, k.levels, strange || zero) : 0.0f;
    const double product = static_cast<double>(w) * static_cast<double>(q);
    for (int s = 0; s < 4; ++s) products += __shfl_sync(kAll, product, lane % 8 + 8 * s);
    squares += __reduce_add_sync(kAll, static_cast<int>(q) * static_cast<int>(q));
  }
  for (int other = 4; other > 0; other /= 2) products += __shfl_xor_sync(kAll, products, other);
  float multiplier = zero || squares == 0 ? 0.0f : static_cast<float>(products / static_cast<double>(squares));
  if (strange) multiplier = __uint_as_float(0x7fc00000u);

  for (int c = lane; c < count; c += 32) {
    const int64_t at = base + static_cast<int64_t>(c) * k.taps;
    k.y[at] = multiplier * integer_of<kRule>(k.w[at], extreme, k.levels, strange || zero);
  }
}

}  // namespace

void fake_quantize_weights(int64_t outputs, int channels, int taps, const float* w, int bits, quant::Mode mode,
                           int block, float* y, const DeviceQueue& queue) {
  const int blocks_of_row = (channels + block - 1) / block;
  const WeightWork k{
      w, y, outputs * blocks_of_row * taps, channels, taps, block, blocks_of_row, static_cast<float>(1 << (bits - 1))};
  if (k.blocks == 0) return;
  const int rule = static_cast<int>(mode) == kSignedExtreme && bits == 1 ? kBinary : static_cast<int>(mode);
  constexpr int kWarps = kThreads / 32;
  launch({.blocks_x = static_cast<unsigned>((k.blocks + kWarps - 1) / kWarps),
          .threads = kThreads,
          .stream = queue.stream,
          .backward = queue.backward},
         rule == kSignedExtreme ? weights_kernel<kSignedExtreme>
         : rule == kBinary      ? weights_kernel<kBinary>
                                : weights_kernel<kPaperFloor>)(k);
}

}  // namespace kronbit::KB_SIDE
