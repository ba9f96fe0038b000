// The product with folded weights on tensor cores: multiplier * integer is one bf16 number, mantissa * step is one too
// (exactly), so what is left is a plain convolution of bf16 numbers with sums in FP32: no scale inside, and tensor
// cores are the limit. Split, a weight is the sum of two bf16 numbers, and every block of weights is multiplied twice.
// How far the results may be off: kernels/bf16/weights.h.
//
// Memory: a stage of the pipeline holds one block of 32 channels of all rows and panels of the tile,
//   rows     [channels 0..7, 8..15, 16..23, 24..31][row] 16 bytes: 8 rows that ldmatrix takes at once are 128 bytes
//            without a gap
//   weights  [panel of 16 outputs] as they are packed (fragments.h): 16 bytes for every lane and half a block
// 4 warps; each has 16 kRowTiles rows x 16 kWarpPanels outputs, kWarpsAcross of them side by side.
#include "quant/kernels/cuda/tiles.h"

namespace kronbit::quant::KB_SIDE {
namespace {

constexpr int kThreads = 128;

template <bool kSplit_, int kWarpsAcross_, int kRowTiles_, int kWarpPanels_>
struct Tile {
  static constexpr int kWarpsAcross = kWarpsAcross_, kRowTiles = kRowTiles_, kWarpPanels = kWarpPanels_;
  static constexpr int kRows = 16 * kRowTiles * (4 / kWarpsAcross), kPanels = kWarpPanels * kWarpsAcross;
  static constexpr int kParts = kSplit_ ? 2 : 1;  ///< hi, lo
  static constexpr int kStages = kSplit_ ? 3 : 4;
  static constexpr int kPerMultiprocessor = kRowTiles * kWarpPanels > 8 ? 2 : kRowTiles* kWarpPanels > 4 ? 3 : 4;
  struct PanelBlock {
    uint4 halves[kParts][2][32];  ///< [hi, lo][16 channels][lane]
  };
  struct Stage {
    uint4 rows[4][kRows];
    PanelBlock weights[kPanels];
  };
};

/// One block of channels of the warp's part of the tile, which begins at `row` and `panel`. y[i][j]: rows 16 i .. and
/// outputs 8 j .. as mma has them.
template <class T>
__device__ __forceinline__ void multiply(const typename T::Stage& stage, int row, int panel,
                                         float (&y)[T::kRowTiles][2 * T::kWarpPanels][4]) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  KB_UNROLL
  for (int half = 0; half < 2; ++half) {
    uint32_t rows[T::kRowTiles][4];
    KB_UNROLL
    for (int i = 0; i < T::kRowTiles; ++i)
      ldmatrix_x4(rows[i], &stage.rows[2 * half + lane / 16][row + 16 * i + lane % 16]);
    KB_UNROLL
    for (int p = 0; p < T::kWarpPanels; ++p) {
      KB_UNROLL
      for (int part = 0; part < T::kParts; ++part) {
        const uint4 both = stage.weights[panel + p].halves[part][half][lane];
        const uint32_t first[2] = {both.x, both.y}, second[2] = {both.z, both.w};  // of 8 outputs
        KB_UNROLL
        for (int i = 0; i < T::kRowTiles; ++i) {
          mma_bf16(y[i][2 * p], rows[i], first);
          mma_bf16(y[i][2 * p + 1], rows[i], second);
        }
      }
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads, T::kPerMultiprocessor) bf16_kernel(ProductArguments a) {
  using Stage = typename T::Stage;
  KB_DYNAMIC_SHARED(Stage, stages);
  const int first_row = static_cast<int>(blockIdx.x) * T::kRows;
  const int first_panel = static_cast<int>(blockIdx.y) * T::kPanels;
  const int warp = static_cast<int>(threadIdx.x / 32);
  const int row = 16 * T::kRowTiles * (warp / T::kWarpsAcross), panel = T::kWarpPanels * (warp % T::kWarpsAcross);

  BlockLoader<T, kThreads, 4> loader(a, first_row, first_panel);
  float y[T::kRowTiles][2 * T::kWarpPanels][4] = {};
  pipeline<T::kStages>(
      loader.steps.count, [&](int i) { loader.load(stages[i]); },
      [&](int i) { multiply<T>(stages[i], row, panel, y); });
  store_fragments(a, first_row + row, first_panel + panel, y);
}

template <class T>
void start(const ProductArguments& a, const DeviceQueue& queue) {
  launch(launch_of_tiles(a, T::kRows, T::kPanels, kThreads, T::kStages * sizeof(typename T::Stage), queue),
         bf16_kernel<T>)(a);
}

template <bool kSplit>
void start(const ProductArguments& a, const DeviceQueue& queue) {
  const int tile = a.tile != 0                                           ? a.tile
                   : a.panels == 2                                       ? 1
                   : a.panels > 4 && tiles_of(a, 128, 8) >= many_tiles() ? 4
                   : tiles_of(a, 128, 4) >= many_tiles()                 ? 3
                                                                         : 2;
  switch (tile) {
    case 1:
      return start<Tile<kSplit, 1, 2, 2>>(a, queue);  // 128 rows x 32 outputs
    case 2:
      return start<Tile<kSplit, 2, 2, 2>>(a, queue);  // 64 x 64
    case 3:
      return start<Tile<kSplit, 2, 4, 2>>(a, queue);  // 128 x 64
    default:
      return start<Tile<kSplit, 2, 4, 4>>(a, queue);  // 128 x 128
  }
}

}  // namespace

void bf16_product(const ProductArguments& a, const DeviceQueue& queue) { start<false>(a, queue); }
void bf16_split_product(const ProductArguments& a, const DeviceQueue& queue) { start<true>(a, queue); }

}  // namespace kronbit::quant::KB_SIDE
