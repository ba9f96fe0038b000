// Rows of FP32 numbers to block floating point, packed: one warp for a block of 32 channels, one lane for a channel.
// The largest magnitude, which gives the step, is a maximum over the lanes; and "bit p of every lane's mantissa", one
// instruction (ballot), is the word of a bit plane as it is stored:
//
//   lane             31 ...  2   1   0
//   mantissa, bit 1   0 ...  1   0   1   -> word 1 = 0...101
//   mantissa, bit 0   1 ...  0   1   1   -> word 0 = 1...011
//
// Memory is the limit: a warp reads kUnroll blocks before it works on the first.
#include "quant/kernels/cuda/kernels.h"
#include "tensor/cuda/bf16_lanes.h"
#include "tensor/cuda/simt.h"

namespace kronbit::quant::KB_SIDE {
namespace {

using namespace kronbit::KB_SIDE;  // NOLINT: the dialect

constexpr int kWarps = 8;   // of a block of threads
constexpr int kUnroll = 4;  // blocks of channels for a warp; 32 KB on the way on every multiprocessor
constexpr unsigned kAll = 0xffffffffu;
constexpr unsigned kTooLarge = (127u + 126u) << 23;  // bits of 2^126: from there on, infinite and NaN included
constexpr unsigned kQuietNaN = 0x7fc00000u;

/// 2^e, -149 <= e <= 127; below -126 as a subnormal number.
__device__ __forceinline__ float power_of_two(int e) {
  return __uint_as_float(e >= -126 ? static_cast<unsigned>(e + 127) << 23 : 1u << (e + 149));
}

/// Exponent of the step of a block whose largest magnitude has these bits (not zero, finite).
__device__ __forceinline__ int step_exponent(unsigned top, const PackArguments& to) {
  const int e = top >> 23 != 0 ? static_cast<int>(top >> 23) - 127 : 31 - __clz(static_cast<int>(top)) - 149;
  return max(e + (to.is_signed ? 2 : 1) - to.bits, -149);
}

/// clamp(round_half_even(v / 2^exponent)). Two factors, because one of them would have to be as large as 2^149; the
/// products are exact, or so small that they round to 0.
__device__ __forceinline__ int mantissa_of(float v, int exponent, const PackArguments& to) {
  const int first = min(-exponent, 127);
  const float m = rintf(v * power_of_two(first) * power_of_two(-exponent - first));
  const int highest = (1 << (to.is_signed ? to.bits - 1 : to.bits)) - 1, lowest = to.is_signed ? -highest - 1 : 0;
  return __float2int_rn(fminf(fmaxf(m, static_cast<float>(lowest)), static_cast<float>(highest)));
}

template <RowForm kForm>
__device__ __forceinline__ void pack_block(float v, int64_t index, int lane, const PackArguments& to) {
  const unsigned top = __reduce_max_sync(kAll, __float_as_uint(v) & 0x7fffffffu);
  const bool finite = top < kTooLarge;
  float step = finite ? 0.0f : __uint_as_float(kQuietNaN);
  int m = 0;
  if (finite && top != 0) {
    const int exponent = step_exponent(top, to);
    step = power_of_two(exponent);
    m = mantissa_of(v, exponent, to);
  }
  if constexpr (kForm == RowForm::Bf16) {
    static_cast<uint16_t*>(to.mantissas)[32 * index + lane] =
        finite ? to_bf16(static_cast<float>(m) * step) : static_cast<uint16_t>(kQuietNaN >> 16);
    return;
  }
  if constexpr (kForm == RowForm::Bytes)
    static_cast<uint8_t*>(to.mantissas)[32 * index + lane] = static_cast<uint8_t>(m);
  if constexpr (kForm == RowForm::Planes) {
    unsigned mine = 0;  // lane p keeps word p
    for (int p = 0; p < to.bits; ++p) {
      const unsigned word = __ballot_sync(kAll, m >> p & 1);
      if (lane == p) mine = word;
    }
    if (lane < to.bits) static_cast<unsigned*>(to.mantissas)[to.bits * index + lane] = mine;
  }
  const int sum = __reduce_add_sync(kAll, m);
  if (lane == 0) {
    to.steps[index] = step;
    to.sums[index] = sum;
  }
}

template <RowForm kForm>
__global__ void __launch_bounds__(32 * kWarps) pack_kernel(PackArguments a) {
  // 2^32 blocks would not fit any GPU's memory, so 32 bits count them, and divide faster.
  const auto blocks = static_cast<unsigned>(a.blocks), count = static_cast<unsigned>(a.rows) * blocks;
  const unsigned lane = threadIdx.x % 32, first = (blockIdx.x * kWarps + threadIdx.x / 32) * kUnroll;
  float v[kUnroll];
  KB_UNROLL
  for (unsigned i = 0; i < kUnroll; ++i) {
    const unsigned row = (first + i) / blocks, block = (first + i) % blocks;
    v[i] = first + i < count ? a.x[row * a.pitch + 32 * block + lane] : 0.0f;
  }
  KB_UNROLL
  for (unsigned i = 0; i < kUnroll; ++i)
    if (first + i < count) pack_block<kForm>(v[i], first + i, static_cast<int>(lane), a);
}

}  // namespace

void pack_rows(const PackArguments& a, const DeviceQueue& queue) {
  constexpr int64_t kBlocks = kWarps * kUnroll;
  const int64_t count = a.rows * a.blocks;
  Launch at;
  at.blocks_x = static_cast<unsigned>((count + kBlocks - 1) / kBlocks);
  at.threads = 32 * kWarps;
  at.stream = queue.stream;
  at.backward = queue.backward;
  if (a.form == RowForm::Bytes) launch(at, pack_kernel<RowForm::Bytes>)(a);
  if (a.form == RowForm::Planes) launch(at, pack_kernel<RowForm::Planes>)(a);
  if (a.form == RowForm::Bf16) launch(at, pack_kernel<RowForm::Bf16>)(a);
}

}  // namespace kronbit::quant::KB_SIDE
