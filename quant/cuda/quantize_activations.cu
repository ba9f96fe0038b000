// Activations in block floating point, as quant/quantizer.h defines it, with the same bits as on the processor. Blocks
// of 32 or 16 channels, the usual ones: a thread has eight neighbouring numbers, and four or two threads find the step
// of their block together. Other blocks: one warp each, one number per lane at a time.
//
// All arithmetic is exact but the rounding to an integer: a multiplication by 2^k is done as two, by powers of two that
// are floats, so that it does not overflow on the way and numbers below the smallest normal float come out right.
#include "quant/cuda/sides.h"
#include "tensor/cuda/bf16_lanes.h"

namespace kronbit::KB_SIDE {
namespace {

constexpr int kThreads = 256;
constexpr unsigned kAll = 0xffffffffu, kInfinity = 0x7f800000u, kInfiniteFrom = (127u + 126u) << 23;

struct RowWork {
  const uint16_t *x, *dy;  // dy null: forward
  uint16_t* to;
  int64_t rows;
  int pitch, channels, block;
  int offset;  // exponent of the step - exponent of M
  float lowest, highest;
};

/// Bits of a number's magnitude; a NaN is left out of the search for the largest.
__device__ __forceinline__ unsigned magnitude_of(float v) {
  const unsigned bits = __float_as_uint(v) & 0x7fffffffu;
  return bits <= kInfinity ? bits : 0;
}

__device__ __forceinline__ float power_of_two(int e) { return __uint_as_float(static_cast<unsigned>(e + 127) << 23); }

/// The step of a block.
struct Step {
  bool zero, infinite;
  float up[2], down[2];  // mantissa = x * up[0] * up[1]; value = mantissa * down[0] * down[1]

  __device__ __forceinline__ Step(unsigned top, int offset) {
    zero = top == 0;
    infinite = top >= kInfiniteFrom;
    const int exponent = top >> 23 != 0 ? static_cast<int>(top >> 23) - 127 : 31 - __clz(static_cast<int>(top)) - 149;
    const int e = zero || infinite ? 0 : max(exponent + offset, -149);
    up[0] = power_of_two(-e / 2);
    up[1] = power_of_two(-e - -e / 2);
    down[0] = power_of_two(e / 2);
    down[1] = power_of_two(e - e / 2);
  }
  __device__ __forceinline__ float mantissa(float v) const { return rintf(v * up[0] * up[1]); }
  __device__ __forceinline__ float quantized(const RowWork& k, float v) const {
    if (infinite || v != v) return __uint_as_float(0x7fc00000u);
    if (zero) return 0;
    return fminf(fmaxf(mantissa(v), k.lowest), k.highest) * down[0] * down[1] + 0.0f;  // no -0
  }
  /// Whether the gradient passes: not where rounding left the range.
  __device__ __forceinline__ bool passes(const RowWork& k, float v) const {
    const float m = mantissa(v);
    return zero || infinite || !(m < k.lowest || m > k.highest);
  }
};

/// kTogether threads have a block; blocks follow each other without gaps.
template <bool kBackward, int kTogether>
__global__ void __launch_bounds__(kThreads) usual_blocks_kernel(RowWork k) {
  const int lane = static_cast<int>(threadIdx.x) % 32, pieces_of_row = k.pitch / 8;
  const int64_t pieces = k.rows * pieces_of_row, step = static_cast<int64_t>(gridDim.x) * kThreads;
  // All lanes of a warp stay together: they exchange.
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * kThreads + static_cast<int64_t>(threadIdx.x) - lane;
       first < pieces; first += step) {
    const int64_t piece = first + lane;
    const bool live = piece < pieces;
    Eight x = {};
    if (live) x = load_eight(k.x + piece * 8);
    unsigned top = 0;
    KB_UNROLL
    for (int i = 0; i < 8; ++i) top = max(top, magnitude_of(x.v[i]));
    KB_UNROLL
    for (int other = 1; other < kTogether; other *= 2) top = max(top, __shfl_xor_sync(kAll, top, other));
    if (!live) continue;
    const Step s(top, k.offset);
    const int real = k.channels - static_cast<int>(piece % pieces_of_row) * 8;  // numbers that are not padding
    if constexpr (kBackward) {
      const uint4 dy = *reinterpret_cast<const uint4*>(k.dy + piece * 8);
      uint32_t words[4] = {dy.x, dy.y, dy.z, dy.w};
      KB_UNROLL
      for (int i = 0; i < 8; ++i)
        if (i >= real || !s.passes(k, x.v[i])) words[i / 2] &= i % 2 == 0 ? 0xffff0000u : 0x0000ffffu;
      *reinterpret_cast<uint4*>(k.to + piece * 8) = make_uint4(words[0], words[1], words[2], words[3]);
    } else {
      KB_UNROLL
      for (int i = 0; i < 8; ++i) x.v[i] = i < real ? s.quantized(k, x.v[i]) : 0.0f;
      store_eight(k.to + piece * 8, x);
    }
  }
}

template <bool kBackward>
__global__ void __launch_bounds__(kThreads) other_blocks_kernel(RowWork k) {
  const int lane = static_cast<int>(threadIdx.x) % 32, blocks = (k.channels + k.block - 1) / k.block;
  const int64_t warps = static_cast<int64_t>(gridDim.x) * (kThreads / 32);
  for (int64_t at = static_cast<int64_t>(blockIdx.x) * (kThreads / 32) + static_cast<int64_t>(threadIdx.x) / 32;
       at < k.rows * blocks; at += warps) {
    const int number = static_cast<int>(at % blocks), begin = number * k.block;
    const int end = min(begin + k.block, k.channels), written = number == blocks - 1 ? k.pitch : end;
    const int64_t row = at / blocks * k.pitch;
    unsigned top = 0;
    for (int c = begin + lane; c < end; c += 32) top = max(top, magnitude_of(bf16_value(k.x[row + c])));
    const Step s(__reduce_max_sync(kAll, top), k.offset);
    for (int c = begin + lane; c < written; c += 32) {
      const float x = bf16_value(k.x[row + c]);
      uint16_t result = 0;
      if (c < end) {
        if constexpr (kBackward) {
          if (s.passes(k, x)) result = k.dy[row + c];
        } else {
          result = to_bf16(s.quantized(k, x));
        }
      }
      k.to[row + c] = result;
    }
  }
}

void run(const bf16* dy, const bf16* x, bf16* to, int64_t rows, int pitch, int channels,
         const quant::DeviceActivationFormat& f, const DeviceQueue& queue) {
  const int values = 1 << f.bits;
  RowWork k{reinterpret_cast<const uint16_t*>(x),
            reinterpret_cast<const uint16_t*>(dy),
            reinterpret_cast<uint16_t*>(to),
            rows,
            pitch,
            channels,
            f.block < channels ? f.block : pitch,  // the padding is zero and changes no step
            (f.is_signed ? 2 : 1) - f.bits,
            static_cast<float>(f.is_signed ? -values / 2 : 0),
            static_cast<float>(f.is_signed ? values / 2 - 1 : values - 1)};
  if (rows == 0 || channels == 0) return;
  const bool usual = k.block == 32 || k.block == 16, back = dy != nullptr;
  if (!usual && k.block > channels) k.block = channels;
  const int64_t threads = usual ? rows * pitch / 8 : rows * ((channels + k.block - 1) / k.block) * 32;
  const int64_t blocks = (threads + kThreads - 1) / kThreads;
  const Launch at{.blocks_x = static_cast<unsigned>(blocks < 8192 ? blocks : 8192),
                  .threads = kThreads,
                  .stream = queue.stream,
                  .backward = queue.backward};
  const auto kernel = k.block == 32   ? (back ? usual_blocks_kernel<true, 4> : usual_blocks_kernel<false, 4>)
                      : k.block == 16 ? (back ? usual_blocks_kernel<true, 2> : usual_blocks_kernel<false, 2>)
                                      : (back ? other_blocks_kernel<true> : other_blocks_kernel<false>);
  launch(at, kernel)(k);
}

}  // namespace

void quantize_rows(const bf16* x, bf16* y, int64_t rows, int pitch, int channels,
                   const quant::DeviceActivationFormat& format, const DeviceQueue& queue) {
  run(nullptr, x, y, rows, pitch, channels, format, queue);
}

void quantize_rows_backward(const bf16* dy, const bf16* x, bf16* dx, int64_t rows, int pitch, int channels,
                            const quant::DeviceActivationFormat& format, const DeviceQueue& queue) {
  run(dy, x, dx, rows, pitch, channels, format, queue);
}

}  // namespace kronbit::KB_SIDE
