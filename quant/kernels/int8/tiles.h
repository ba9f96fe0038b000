// What the kernels that read rows of bytes share: the operands of a call, and how rows are cut into tiles. Internal
// linkage, because files of different instruction sets include it.
#pragma once

#include <cstdint>
#include <cstring>

#include "quant/kernels/block_product.h"

namespace kronbit::quant {
namespace {

struct Product {
  const std::byte* weights;
  const RowsView& x;
  const ProductSpec& spec;
  int64_t panel_bytes;  ///< from one panel of the weights to the next
  int64_t tap_bytes;    ///< from one tap to the next
  int bias;             ///< in weights for signed activations

  /// Where the results of a tile begin.
  float* y(int64_t row, int64_t panel) const { return spec.y + row * spec.pitch + 16 * (panel - spec.first_panel); }
};

/// What R rows read for one tap.
template <int R>
struct TapRows {
  const std::byte* mantissas[R];
  const float* steps[R];
  const int32_t* sums[R];

  TapRows(const RowsView& x, const int32_t* x_rows) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const int64_t first = x_rows[r] * x.blocks;
      mantissas[r] = x.mantissas + 32 * first;
      steps[r] = x.steps + first;
      sums[r] = x.sums + first;
    }
  }
  /// Mantissas 4 j .. 4 j + 3 of block k.
  int32_t four(int r, int64_t k, int j) const {
    int32_t word;
    std::memcpy(&word, mantissas[r] + 32 * k + 4 * j, 4);
    return word;
  }
};

/// Calls use(first row, rows) for tiles of at most `most` rows, as even as can be: a tile of one row costs nearly as
/// much as one of three.
template <class Use>
void for_row_tiles(int64_t rows, int64_t most, const Use& use) {
  const int64_t tiles = (rows + most - 1) / most;
  for (int64_t i = 0; i < tiles; ++i) use(i * rows / tiles, (i + 1) * rows / tiles - i * rows / tiles);
}

}  // namespace
}  // namespace kronbit::quant
