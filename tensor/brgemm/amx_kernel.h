// The product of bf16 numbers in the tile registers of AMX, over a type of tiles. Read tile_registers.h first. Private
// to the folder and its tests.
//
// Four tiles of sums stay in registers over all terms and all of k: 2 x 2, or 4 x 1 where C has 16 columns or fewer
// (the products of two tiles alone would wait for their latency). Operands are loaded from where they lie. Edges need
// no padding: the tiles of each block are configured with exactly its rows and columns; the numbers behind the last
// whole 32 of k are a second pass over the block with shorter tiles.
//
// Configuring the tiles and releasing them at the end of a call costs some hundred cycles, a few percent of the
// smallest products of a convolution; kept configured, their 8 KB would be saved at every switch of threads.
#pragma once

#include <algorithm>
#include <type_traits>

#include "tensor/brgemm/brgemm.h"
#include "tensor/brgemm/tile_registers.h"

namespace kronbit {
namespace {  // each file its own copy: one of them is for a processor that others are not

template <class Tiles>
class TileProduct {
 public:
  TileProduct(const BrgemmPairsShape& s, std::span<const BrgemmTerm<bf16>> terms) : s_(s), terms_(terms) {}

  /// All of C. Requires: k > 0 and at least one term.
  template <class Sum>
  void run(Sum* c, bool accumulate) {
    for (int64_t column = 0; column < s_.n; column += 2 * kTile) {
      const int64_t columns = std::min(2 * kTile, s_.n - column), most = columns > kTile ? 2 * kTile : 4 * kTile;
      for (int64_t row = 0; row < s_.m; row += most) {
        const Block block{row, column, std::min(most, s_.m - row), columns};
        const int64_t tall = (block.rows + kTile - 1) / kTile;
        const auto run_block = columns > kTile
                                   ? (tall == 2 ? &TileProduct::block<2, 2, Sum> : &TileProduct::block<1, 2, Sum>)
                               : tall == 4 ? &TileProduct::block<4, 1, Sum>
                               : tall == 3 ? &TileProduct::block<3, 1, Sum>
                               : tall == 2 ? &TileProduct::block<2, 1, Sum>
                                           : &TileProduct::block<1, 1, Sum>;
        (this->*run_block)(block, c + row * s_.c_row + column, accumulate);
      }
    }
  }

 private:
  struct Block {
    int64_t row, column, rows, columns;
  };

  /// Adds the products over k = begin .. end - 1, `depth` at a time, to the sums, which start at zero if `fresh`.
  template <int M, int N>
  void pass(const Block& block, int64_t begin, int64_t end, int64_t depth, float* sums, int64_t sums_row, bool fresh) {
    using Number = TileNumbers<M, N>;
    Tiles& tiles = tiles_.template of_shape<M, N>(block.rows, block.columns, depth);
    const int64_t a_row = s_.a_row, b_pair = s_.b_pair;
    const int64_t a_bytes = a_row * 2, b_bytes = b_pair * 2, sums_bytes = sums_row * 4;
    unrolled<M * N>([&](auto t) {
      if (fresh) {
        tiles.template zero<t>();
      } else {
        tiles.template load<t>(sums + t / N * kTile * sums_row + t % N * kTile, sums_bytes);
      }
    });
    for (const BrgemmTerm<bf16>& term : terms_) {
      const bf16* a = term.a + block.row * a_row + begin;
      const bf16* b = term.b + begin / 2 * b_pair + 2 * block.column;
      for (int64_t p = begin; p < end; p += depth, a += depth, b += depth / 2 * b_pair) {
        unrolled<M>([&](auto i) {
          tiles.template load<Number::a(i)>(a + i * kTile * a_row, a_bytes);
          unrolled<N>([&](auto j) {
            if constexpr (i == 0) tiles.template load<Number::b(j)>(b + 2 * j * kTile, b_bytes);
            tiles.template add_products<Number::sum(i, j), Number::a(i), Number::b(j)>();
          });
        });
      }
    }
    unrolled<M * N>(
        [&](auto t) { tiles.template store<t>(sums + t / N * kTile * sums_row + t % N * kTile, sums_bytes); });
  }

  template <int M, int N, class Sum>
  void block(const Block& block, Sum* c, bool accumulate) {
    constexpr bool kRounded = std::is_same_v<Sum, bf16>;
    constexpr int64_t kWidth = N * kTile;
    alignas(64) float unrounded[kRounded ? M * kTile * kWidth : 1];
    float* sums = unrounded;
    int64_t sums_row = kWidth;
    if constexpr (!kRounded) sums = c, sums_row = s_.c_row;
    const int64_t whole = s_.k / kTileDepth * kTileDepth;
    if (whole > 0) pass<M, N>(block, 0, whole, kTileDepth, sums, sums_row, !accumulate);
    if (whole < s_.k) pass<M, N>(block, whole, s_.k, s_.k - whole, sums, sums_row, !accumulate && whole == 0);
    if constexpr (kRounded) {
      for (int64_t r = 0; r < block.rows; ++r) Tiles::round(sums + r * kWidth, block.columns, c + r * s_.c_row);
    }
  }

  const BrgemmPairsShape s_;
  const std::span<const BrgemmTerm<bf16>> terms_;
  BlockTiles<Tiles> tiles_;
};

/// brgemm over Tiles. Sum: float or bf16 (not accumulated).
template <class Tiles, class Sum>
void brgemm_in_tiles(const BrgemmPairsShape& s, std::span<const BrgemmTerm<bf16>> terms, Sum* c, bool accumulate) {
  if (s.k > 0 && !terms.empty()) {
    TileProduct<Tiles>(s, terms).run(c, accumulate);
  } else if (!accumulate) {
    for (int64_t i = 0; i < s.m; ++i) std::fill(c + i * s.c_row, c + i * s.c_row + s.n, Sum());
  }
}

}  // namespace
}  // namespace kronbit
