// The exact product for few rows, one image say: tensor cores would idle on empty rows, and what takes time is to fetch
// the weights. So they stay as they are stored, a few bits each (kernels/packed/format.h), become bytes in registers,
// and are multiplied four at a time (dp4a).
//
// There is too little work for one thread to run through all steps (a tap and a block of channels) of an output. But
// the scaled sum has an order, so that its bits are the same everywhere. Hence two halves: the dot products of 16 steps
// are computed at once, by 16 groups of threads, and then added in order, which is quick:
//
//   thread   | 16 outputs of step 0 | 16 outputs of step 1 | ... | of step 15 |       each for kRows rows
//   terms    [step][row][output]: float(dot), multiplier * step
//   thread   | 16 outputs of row 0 | of row 1 | ...                                   y = fma(first, second, y), in
//   order
//
// Terms are kept twice, so that the threads meet once in 16 steps.
#include "quant/kernels/cuda/tiles.h"

namespace kronbit::quant::KB_SIDE {
namespace {

constexpr int kOutputs = 16, kTogether = 16, kThreads = kOutputs * kTogether;

/// The weights of one output in one step, as they are stored.
template <int kBits>
struct Weights {
  unsigned words[kBits];
  float multiplier;
};

template <int kBits>
__device__ __forceinline__ Weights<kBits> load_weights(const ProductArguments& a, const Steps& steps, int panel,
                                                       int output) {
  const unsigned* from =
      static_cast<const unsigned*>(a.weights) + steps.weight_block(a, panel) * (kOutputs * (kBits + 1)) + output;
  Weights<kBits> w;
  KB_UNROLL
  for (int i = 0; i < kBits; ++i) w.words[i] = __ldg(from + kOutputs * i);
  w.multiplier = __uint_as_float(__ldg(from + kOutputs * kBits));
  return w;
}

/// Word i becomes channels 4 i .. 4 i + 3, as bytes: the stored numbers below 8 bits, which a signed byte can hold, and
/// the integers themselves at 8.
template <int kBits>
__device__ __forceinline__ void expand(const unsigned (&words)[kBits], unsigned (&bytes)[8]) {
  KB_UNROLL
  for (unsigned& four : bytes) four = kBits == 8 ? 0x80808080u : 0u;
  int line = 0;  // of a part; also the number of bits before it
  KB_UNROLL
  for (int width = 8; width > 0; width /= 2) {
    if ((kBits & width) == 0) continue;
    const unsigned mask = ((1u << width) - 1) * 0x01010101u;
    KB_UNROLL
    for (int i = 0; i < 8; ++i) bytes[i] ^= (words[line + i * width / 8] >> (i % (8 / width) * width) & mask) << line;
    line += width;
  }
}

/// sum of (x times stored weight) over a block of channels.
__device__ __forceinline__ int dot_of_bytes(bool is_signed, const unsigned (&x)[8], const unsigned (&w)[8]) {
  int dot = 0;
  if (is_signed) {
    KB_UNROLL
    for (int i = 0; i < 8; ++i) dot = dp4a_ss(static_cast<int>(x[i]), static_cast<int>(w[i]), dot);
  } else {
    KB_UNROLL
    for (int i = 0; i < 8; ++i) dot = dp4a_us(x[i], static_cast<int>(w[i]), dot);
  }
  return dot;
}

template <int kBits, int kRows>
__global__ void __launch_bounds__(kThreads, 3) dp4a_kernel(ProductArguments a) {
  __shared__ float2 terms[2][kTogether][kRows * kOutputs];
  const int me = static_cast<int>(threadIdx.x), output = me % kOutputs, group = me / kOutputs;
  const int first_row = static_cast<int>(blockIdx.x) * kRows, panel = static_cast<int>(blockIdx.y);
  // dot = factor * (sum of stored * m) - bias * (sum of m)
  const int factor = a.binary ? 2 : 1, bias = kBits == 8 ? 0 : 1 << (kBits - 1);

  Steps steps(a, first_row, kRows);
  ReadRow rows[kRows];
  for (int r = 0; r < kRows; ++r) rows[r] = read_row(a, first_row + r);
  const int count = steps.count;
  steps.advance(a, group);

  Weights<kBits> ahead{};
  if (group < count) ahead = load_weights<kBits>(a, steps, panel, output);
  float y = 0;
  for (int first = 0; first < count; first += kTogether) {
    float2(&now)[kTogether][kRows * kOutputs] = terms[first / kTogether % 2];
    if (first + group < count) {
      const Weights<kBits> weights = ahead;
      const Steps here = steps;
      steps.advance(a, kTogether);
      if (first + kTogether + group < count) ahead = load_weights<kBits>(a, steps, panel, output);
      unsigned w[8];
      expand<kBits>(weights.words, w);
      KB_UNROLL
      for (int r = 0; r < kRows; ++r) {
        float2 term = make_float2(0, 0);
        if (is_inside(a, rows[r], here.ky, here.kx)) {
          const int64_t block = here.input_block(a, rows[r]);
          const uint4* from = static_cast<const uint4*>(a.mantissas) + 2 * block;
          const uint4 low = __ldg(from), high = __ldg(from + 1);
          const unsigned x[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
          const int dot = factor * dot_of_bytes(a.input_signed, x, w) - bias * __ldg(a.sums + block);
          term = make_float2(__int2float_rn(dot), weights.multiplier * __ldg(a.steps + block));
        }
        now[group][r * kOutputs + output] = term;
      }
    }
    __syncthreads();
    if (me < kRows * kOutputs)
      for (int i = 0; i < min(kTogether, count - first); ++i) y = __fmaf_rn(now[i][me].x, now[i][me].y, y);
  }
  if (me < kRows * kOutputs && first_row + group < a.out_rows)
    a.y[(first_row + group) * a.pitch + kOutputs * panel + output] = y;
}

template <int kBits>
void start(const ProductArguments& a, const DeviceQueue& queue) {
  if (a.out_rows < 4)
    launch(launch_of_tiles(a, 1, 1, kThreads, 0, queue), dp4a_kernel<kBits, 1>)(a);
  else
    launch(launch_of_tiles(a, 4, 1, kThreads, 0, queue), dp4a_kernel<kBits, 4>)(a);
}

}  // namespace

void dp4a_product(const ProductArguments& a, const DeviceQueue& queue) {
  constexpr StartProduct* kStarts[] = {start<1>, start<2>, start<3>, start<4>, start<5>, start<6>, start<7>, start<8>};
  kStarts[a.weight_bits - 1](a, queue);
}

}  // namespace kronbit::quant::KB_SIDE
