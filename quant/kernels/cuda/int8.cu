// The exact product on tensor cores: one instruction multiplies 16 rows x 32 channels by 32 channels x 8 outputs, and
// 32 channels are a block, so its sums are the dot products of one block each and only need their scale:
//
//   y = fma(float(dot), multiplier[output] * step[row], y)
//
// which costs three more instructions for every number of the tile and is what limits this kernel, not the tensor
// cores.
//
// Memory: a stage of the pipeline holds one block of channels of all rows and panels of the tile,
//   rows     [first or second 16 channels][row] 16 bytes: 8 rows that ldmatrix takes at once are 128 bytes in a row
//   steps    [row]
//   weights  [panel of 16 outputs] as they are packed (fragments.h): 16 bytes for every lane, and the 16 multipliers
// 4 warps; each has 16 kRowTiles rows x 32 outputs, kWarpsAcross of them side by side.
#include "quant/kernels/cuda/tiles.h"

namespace kronbit::quant::KB_SIDE {
namespace {

constexpr int kThreads = 128, kStages = 4;

struct PanelBlock {
  uint4 fragments[32];
  float2 multipliers[8];  ///< of outputs 2 i, 2 i + 1
};

template <int kWarpsAcross, int kRowTiles>
struct Tile {
  static constexpr int kPerMultiprocessor = kRowTiles > 2 ? 3 : 4;  ///< of these tiles, as registers allow
  static constexpr int kRows = 16 * kRowTiles * (4 / kWarpsAcross), kPanels = 2 * kWarpsAcross;
  struct Stage {
    uint4 rows[2][kRows];
    float steps[kRows];
    PanelBlock weights[kPanels];
  };
};

template <bool kSigned>
__device__ __forceinline__ void mma(int (&dots)[4], const uint32_t (&rows)[4], const uint32_t (&weights)[2]) {
  if constexpr (kSigned) {
    mma_s8(dots, rows, weights);
  } else {
    mma_u8s8(dots, rows, weights);
  }
}

/// One block of channels of the warp's part of the tile, which begins at `row` and `panel`. y[i][j]: rows 16 i .. and
/// outputs 8 j .. as mma has them.
template <bool kSigned, int kRowTiles, class Stage>
__device__ __forceinline__ void multiply(const Stage& stage, int row, int panel, float (&y)[kRowTiles][4][4]) {
  const int lane = static_cast<int>(threadIdx.x % 32), g = lane / 4, t = lane % 4;
  uint32_t rows[kRowTiles][4];
  float steps[kRowTiles][2];  // of rows g and g + 8
  KB_UNROLL
  for (int i = 0; i < kRowTiles; ++i) {
    ldmatrix_x4(rows[i], &stage.rows[lane / 16][row + 16 * i + lane % 16]);
    steps[i][0] = stage.steps[row + 16 * i + g];
    steps[i][1] = stage.steps[row + 16 * i + g + 8];
  }
  KB_UNROLL
  for (int j = 0; j < 4; ++j) {
    const PanelBlock& weights = stage.weights[panel + j / 2];
    const uint4 both = weights.fragments[lane];
    const uint32_t fragment[2] = {j % 2 == 0 ? both.x : both.z, j % 2 == 0 ? both.y : both.w};
    const float2 multiplier = weights.multipliers[4 * (j % 2) + t];
    KB_UNROLL
    for (int i = 0; i < kRowTiles; ++i) {
      int dots[4] = {kNoDot, kNoDot, kNoDot, kNoDot};
      mma<kSigned>(dots, rows[i], fragment);
      KB_UNROLL
      for (int n = 0; n < 4; ++n) {
        const float scale = (n % 2 == 0 ? multiplier.x : multiplier.y) * steps[i][n / 2];
        y[i][j][n] = __fmaf_rn(float_of_dot(dots[n]), scale, y[i][j][n]);
      }
    }
  }
}

template <bool kSigned, int kWarpsAcross, int kRowTiles>
__global__ void __launch_bounds__(kThreads, Tile<kWarpsAcross, kRowTiles>::kPerMultiprocessor)
    int8_kernel(ProductArguments a) {
  using T = Tile<kWarpsAcross, kRowTiles>;
  using Stage = typename T::Stage;
  KB_DYNAMIC_SHARED(Stage, stages);
  const int first_row = static_cast<int>(blockIdx.x) * T::kRows,
            first_panel = static_cast<int>(blockIdx.y) * T::kPanels;
  const int warp = static_cast<int>(threadIdx.x / 32);
  const int row = 16 * kRowTiles * (warp / kWarpsAcross), panel = 2 * (warp % kWarpsAcross);

  BlockLoader<T, kThreads, 2> loader(a, first_row, first_panel);
  float y[kRowTiles][4][4] = {};
  pipeline<kStages>(
      loader.steps.count, [&](int i) { loader.load(stages[i]); },
      [&](int i) { multiply<kSigned>(stages[i], row, panel, y); });
  store_fragments(a, first_row + row, first_panel + panel, y);
}

template <bool kSigned, int kWarpsAcross, int kRowTiles>
void start(const ProductArguments& a, const DeviceQueue& queue) {
  using T = Tile<kWarpsAcross, kRowTiles>;
  launch(launch_of_tiles(a, T::kRows, T::kPanels, kThreads, kStages * sizeof(typename T::Stage), queue),
         int8_kernel<kSigned, kWarpsAcross, kRowTiles>)(a);
}

template <bool kSigned>
void start(const ProductArguments& a, const DeviceQueue& queue) {
  const int tile = a.tile != 0 ? a.tile : a.panels == 2 ? 1 : tiles_of(a, 128, 4) >= many_tiles() ? 3 : 2;
  switch (tile) {
    case 1:
      return start<kSigned, 1, 2>(a, queue);  // 128 rows x 32 outputs
    case 2:
      return start<kSigned, 2, 2>(a, queue);  // 64 x 64
    default:
      return start<kSigned, 2, 4>(a, queue);  // 128 x 64
  }
}

}  // namespace

void int8_product(const ProductArguments& a, const DeviceQueue& queue) {
  a.input_signed ? start<true>(a, queue) : start<false>(a, queue);
}

}  // namespace kronbit::quant::KB_SIDE
