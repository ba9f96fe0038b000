// The block product of bytes for AVX2. Half a panel in a register; a tile of y, 3 rows x 1 panel, stays in registers
// over all taps and blocks; the sums of a block are those of avx2_blocks.h.

#include "quant/kernels/int8/avx2_blocks.h"
#include "tensor/cpu.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma")

namespace kronbit::quant {
namespace {

template <bool kSigned, int kSteps16, int R>
struct Tile {
  static void run(const Product& a, int64_t row, int64_t panel) {
    __m256 y[R][2];
    for (auto& of_row : y)
      for (__m256& v : of_row) v = _mm256_setzero_ps();
    for (const Tap& tap : a.spec.taps) {
      const std::byte* w = a.weights + panel * a.panel_bytes + tap.tap * a.tap_bytes;
      add_blocks<kSigned, kSteps16, R>(TapRows<R>(a.x, tap.x_rows + row), w, 0, a.x.blocks, a.bias, y);
    }
    for (int r = 0; r < R; ++r)
      for (int h = 0; h < 2; ++h) _mm256_storeu_ps(a.y(row + r, panel) + 8 * h, y[r][h]);
  }
};

void run(const LayerShape& shape, const std::byte* weights, const RowsView& x, const ProductSpec& spec) {
  const int64_t tap_bytes = shape.blocks() * int8::kBlockBytes;
  const Product a{weights, x, spec, shape.taps * tap_bytes, tap_bytes, int8::bias(shape)};
  const auto& tiles = tiles_for<Tile>(shape);
  for (int64_t panel = spec.first_panel; panel < spec.first_panel + spec.panels; ++panel) {
    for_row_tiles(spec.rows, 3,
                  [&](int64_t row, int64_t rows) { tiles[static_cast<size_t>(rows - 1)](a, row, panel); });
  }
}

bool supported() { return cpu().avx2 && cpu().fma; }

}  // namespace

const BlockKernel kInt8Avx2{.name = "int8-avx2",
                            .family = "int8",
                            .needs = "avx2 fma",
                            .supported = supported,
                            .exact = true,
                            .form = RowForm::Bytes,
                            .packed_bytes = int8::packed_bytes,
                            .pack = int8::pack,
                            .run = run};

}  // namespace kronbit::quant

#pragma GCC pop_options
