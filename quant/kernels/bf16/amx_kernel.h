// The product of folded weights in the tile registers of AMX, over a type of tiles. Read weights.h and
// tensor/brgemm/tile_registers.h first. Private to the folder and its tests.
//
// Blocks of 32 rows x 2 panels: 2 x 2 tiles of sums stay in registers over all taps and blocks of channels. A tile of A
// is 16 rows x 64 bytes of one tap. Where the rows a tap reads are equally far apart (the images of one pixel, pixels
// of one image row; a zero row for all), tiles are loaded straight from there; else the rows are copied side by side
// first, a few blocks of channels at a time: the copies run beside the products, which take 64 cycles for 32 rows of
// 64 bytes. What is left over of 32 rows has tiles of just that size.
#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>

#include "quant/kernels/bf16/weights.h"
#include "tensor/brgemm/tile_registers.h"

namespace kronbit::quant {
namespace {  // each file its own copy: one of them is for a processor that others are not

/// Tiles: those of BlockTiles, and copy_rows(from, rows, count, pitch, bytes, to, to_pitch), which copies the first
/// `bytes` (a multiple of 64) of rows[0 .. count - 1], `pitch` bytes apart, to rows `to_pitch` bytes apart.
template <class Tiles, bool kSplit>
class FoldedProduct {
 public:
  FoldedProduct(const LayerShape& shape, const std::byte* weights, const RowsView& x, const ProductSpec& spec)
      : shape_(shape), weights_(weights), x_(x), spec_(spec) {}

  void run() {
    const int64_t whole = spec_.rows / kBlockRows * kBlockRows, rest = spec_.rows - whole;
    for (int64_t panel = 0; panel < spec_.panels; panel += 2) {
      for (int64_t row = 0; row < whole; row += kBlockRows) two_panels<2>(row, kBlockRows, panel);
    }
    if (rest == 0) return;  // apart from the others: tiles of another shape
    for (int64_t panel = 0; panel < spec_.panels; panel += 2) {
      rest > kTile ? two_panels<2>(whole, rest, panel) : two_panels<1>(whole, rest, panel);
    }
  }

 private:
  static constexpr int64_t kBlockRows = 2 * kTile;
  static constexpr int64_t kCopied = 4;  // blocks of channels copied at a time: 8 KB stay in L1
  static constexpr int64_t kTileBytes = kFoldedTile * 2;
  static constexpr int64_t kBlockBytes = folded_parts(kSplit) * kTileBytes;  // of one block of a panel

  /// The rows of A, from one to the next `pitch` bytes.
  struct Rows {
    const std::byte* first;
    int64_t pitch;
  };

  template <int M>
  void two_panels(int64_t row, int64_t rows, int64_t panel) {
    panel + 1 < spec_.panels ? block<M, 2>(row, rows, panel) : block<M, 1>(row, rows, panel);
  }

  template <int M, int N>
  void block(int64_t row, int64_t rows, int64_t panel) {
    Tiles& tiles = tiles_.template of_shape<M, N>(rows, N * kTile, kTileDepth);
    alignas(64) std::byte copied[kBlockRows * kCopied * 64];
    const int64_t blocks = shape_.blocks(), pitch = x_.row_bytes(), panel_bytes = shape_.taps * blocks * kBlockBytes;
    unrolled<M * N>([&](auto t) { tiles.template zero<t>(); });
    for (const Tap& tap : spec_.taps) {
      const int32_t* x_rows = tap.x_rows + row;
      const std::byte* b = weights_ + (spec_.first_panel + panel) * panel_bytes + tap.tap * blocks * kBlockBytes;
      if (equally_apart(x_rows, rows)) {
        const int64_t step = rows > 1 ? x_rows[1] - x_rows[0] : 0;
        add<M, N>(tiles, {x_.mantissas + x_rows[0] * pitch, step * pitch}, blocks, b, panel_bytes);
        continue;
      }
      for (int64_t k = 0; k < blocks; k += kCopied) {
        const int64_t count = std::min(kCopied, blocks - k);
        Tiles::copy_rows(x_.mantissas + 64 * k, x_rows, rows, pitch, 64 * count, copied, 64 * kCopied);
        add<M, N>(tiles, {copied, 64 * kCopied}, count, b + k * kBlockBytes, panel_bytes);
      }
    }
    float* y = spec_.y + row * spec_.pitch + kTile * panel;
    unrolled<M * N>(
        [&](auto t) { tiles.template store<t>(y + t / N * kTile * spec_.pitch + t % N * kTile, spec_.pitch * 4); });
  }

  /// Adds the products of `blocks` blocks of channels of one tap.
  template <int M, int N>
  static void add(Tiles& tiles, const Rows& a, int64_t blocks, const std::byte* b, int64_t panel_bytes) {
    using Number = TileNumbers<M, N>;
    const std::byte* from = a.first;
    for (int64_t k = 0; k < blocks; ++k, from += 64, b += kBlockBytes) {
      unrolled<M>([&](auto i) { tiles.template load<Number::a(i)>(from + i * kTile * a.pitch, a.pitch); });
      unrolled<folded_parts(kSplit)>([&](auto part) {
        unrolled<N>([&](auto j) {
          tiles.template load<Number::b(j)>(b + j * panel_bytes + part * kTileBytes, 64);
          unrolled<M>([&](auto i) { tiles.template add_products<Number::sum(i, j), Number::a(i), Number::b(j)>(); });
        });
      });
    }
  }

  static bool equally_apart(const int32_t* rows, int64_t count) {
    int32_t off = 0;
    for (int64_t r = 2; r < count; ++r) off |= (rows[r] - rows[r - 1]) ^ (rows[1] - rows[0]);
    return off == 0;
  }

  const LayerShape& shape_;
  const std::byte* const weights_;
  const RowsView& x_;
  const ProductSpec& spec_;
  BlockTiles<Tiles> tiles_;
};

template <class Tiles, bool kSplit>
void folded_product_in_tiles(const LayerShape& shape, const std::byte* weights, const RowsView& x,
                             const ProductSpec& spec) {
  FoldedProduct<Tiles, kSplit>(shape, weights, x, spec).run();
}

}  // namespace
}  // namespace kronbit::quant
