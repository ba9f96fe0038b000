// The exact product bit by bit: the sum of kernels/bitserial/planes.h, which is where to start. One AND and one
// popcount multiply 32 channels of one weight plane and one input plane:
//
//   dot = (binary ? sum of the mantissas : 0) + sum over planes i, j of c_i d_j popcount(weight plane i & input plane
//   j) y   = fma(float(dot), multiplier[output] * step[row], y)
//
// A multiprocessor has 16 popcounts per clock, a quarter of its other instructions, so they are the limit, and the rest
// has to stay beside them: a thread keeps 8 rows x 4 outputs, so that a word from shared memory serves 4 or 8 of them.
//
// Memory: a stage of the pipeline holds one block of channels of the tile, 64 rows x 64 outputs or 128 x 32:
//   inputs   [plane][row] words             steps [row]   sums [row]
//   weights  [plane][output] words, and behind the last plane the multipliers [output]
// Threads follow one another by outputs, then by rows.
#include "quant/kernels/cuda/tiles.h"

namespace kronbit::quant::KB_SIDE {
namespace {

constexpr int kThreads = 128, kStages = 3;
constexpr int kMyRows = 8, kMyOutputs = 4;

template <int kPanels_>
struct Tile {
  static constexpr int kPanels = kPanels_, kOutputs = 16 * kPanels;
  static constexpr int kRows = kThreads * kMyRows * kMyOutputs / kOutputs;
  struct Stage {
    unsigned inputs[8][kRows];
    float steps[kRows];
    int sums[kRows];
    unsigned weights[9][kOutputs];
  };
};

/// Starts the copies of one step. Thread r has row r, beside others if there are fewer rows than threads.
template <class T>
struct Loader {
  static constexpr int kRows = T::kRows, kPanels = T::kPanels, kParts = kThreads / kRows;
  const ProductArguments& a;
  int first_panel;
  Steps steps;
  ReadRow row;

  __device__ Loader(const ProductArguments& arguments, int first_row, int first)
      : a(arguments),
        first_panel(first),
        steps(arguments, first_row, kRows),
        row(read_row(arguments, first_row + static_cast<int>(threadIdx.x % kRows))) {}
  __device__ __forceinline__ void load(typename T::Stage& to) {
    const int r = static_cast<int>(threadIdx.x) % kRows, part = static_cast<int>(threadIdx.x) / kRows;
    const bool inside = is_inside(a, row, steps.ky, steps.kx);
    const int64_t block = inside ? steps.input_block(a, row) : 0;
    const auto* inputs = static_cast<const unsigned*>(a.mantissas) + block * a.input_bits;
    for (int p = part; p < a.input_bits; p += kParts) cp_async4(&to.inputs[p][r], inputs + p, inside);
    if (part == 0) cp_async4(&to.steps[r], a.steps + block, inside);
    if (part == kParts - 1) cp_async4(&to.sums[r], a.sums + block, inside);
    // Lines of 16 words, one for every plane and one of multipliers: 4 threads each.
    const int lines = a.weight_bits + 1, chunk = static_cast<int>(threadIdx.x) % 4;
    for (int i = static_cast<int>(threadIdx.x) / 4; i < kPanels * lines; i += kThreads / 4) {
      const int line = i / kPanels, panel = i % kPanels;
      const bool valid = first_panel + panel < a.panels;
      const int64_t at = valid ? steps.weight_block(a, first_panel + panel) * lines + line : 0;
      cp_async16(&to.weights[line][16 * panel + 4 * chunk],
                 static_cast<const unsigned*>(a.weights) + 16 * at + 4 * chunk, valid);
    }
    steps.advance(a, 1);
  }
};

/// One block of channels of the thread's numbers.
template <class Stage>
__device__ __forceinline__ void multiply(const ProductArguments& a, const Stage& stage, int row, int output,
                                         float (&y)[kMyRows][kMyOutputs]) {
  int dots[kMyRows][kMyOutputs];
  KB_UNROLL
  for (int r = 0; r < kMyRows; ++r) {
    const int start = kNoDot + (a.binary ? stage.sums[row + r] : 0);
    KB_UNROLL
    for (int o = 0; o < kMyOutputs; ++o) dots[r][o] = start;
  }
  for (int i = 0; i < a.weight_bits; ++i) {
    const uint4 w4 = *reinterpret_cast<const uint4*>(&stage.weights[i][output]);
    const unsigned w[kMyOutputs] = {w4.x, w4.y, w4.z, w4.w};
    const int c = a.binary ? -2 : i == a.weight_bits - 1 ? -(1 << i) : 1 << i;
    for (int j = 0; j < a.input_bits; ++j) {
      const int d = a.input_signed && j == a.input_bits - 1 ? -(c << j) : c << j;
      const uint4* x4 = reinterpret_cast<const uint4*>(&stage.inputs[j][row]);
      const uint4 low = x4[0], high = x4[1];
      const unsigned x[kMyRows] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
      KB_UNROLL
      for (int r = 0; r < kMyRows; ++r) {
        KB_UNROLL
        for (int o = 0; o < kMyOutputs; ++o) dots[r][o] += d * __popc(w[o] & x[r]);
      }
    }
  }
  const auto* multipliers = reinterpret_cast<const float*>(&stage.weights[a.weight_bits][output]);
  KB_UNROLL
  for (int r = 0; r < kMyRows; ++r) {
    const float step = stage.steps[row + r];
    KB_UNROLL
    for (int o = 0; o < kMyOutputs; ++o) y[r][o] = __fmaf_rn(float_of_dot(dots[r][o]), multipliers[o] * step, y[r][o]);
  }
}

template <int kPanels>
__global__ void __launch_bounds__(kThreads, 4) bitserial_kernel(ProductArguments a) {
  using T = Tile<kPanels>;
  using Stage = typename T::Stage;
  KB_DYNAMIC_SHARED(Stage, stages);
  constexpr int kAcross = T::kOutputs / kMyOutputs;  // threads
  const int first_row = static_cast<int>(blockIdx.x) * T::kRows, first_panel = static_cast<int>(blockIdx.y) * kPanels;
  const int row = kMyRows * (static_cast<int>(threadIdx.x) / kAcross);
  const int output = kMyOutputs * (static_cast<int>(threadIdx.x) % kAcross);

  Loader<T> loader(a, first_row, first_panel);
  float y[kMyRows][kMyOutputs] = {};
  pipeline<kStages>(
      loader.steps.count, [&](int i) { loader.load(stages[i]); },
      [&](int i) { multiply(a, stages[i], row, output, y); });
  if (16 * first_panel + output >= 16 * a.panels) return;
  float* to = a.y + (first_row + row) * a.pitch + 16 * first_panel + output;
  KB_UNROLL
  for (int r = 0; r < kMyRows; ++r)
    if (first_row + row + r < a.out_rows)
      *reinterpret_cast<float4*>(to + r * a.pitch) = make_float4(y[r][0], y[r][1], y[r][2], y[r][3]);
}

template <int kPanels>
void start(const ProductArguments& a, const DeviceQueue& queue) {
  using T = Tile<kPanels>;
  launch(launch_of_tiles(a, T::kRows, kPanels, kThreads, kStages * sizeof(typename T::Stage), queue),
         bitserial_kernel<kPanels>)(a);
}

}  // namespace

void bitserial_product(const ProductArguments& a, const DeviceQueue& queue) {
  a.panels == 2 ? start<2>(a, queue) : start<4>(a, queue);
}

}  // namespace kronbit::quant::KB_SIDE
