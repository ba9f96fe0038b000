// How the vector variants cut C into tiles that stay in registers: columns two vectors at a time, the rows of such a
// panel shared out evenly, because a short last tile would run at a fraction. Private to the folder.
#pragma once

#include <algorithm>
#include <cstdint>

namespace kronbit {
namespace {  // each file its own copy: one of them is for a processor that others are not

/// A part of C: its first row and column, and its extent; width at most two vectors.
struct TilePlace {
  int64_t row, column, rows, width;
};

/// Calls body(place) for all tiles of C, m x n. `lanes`: numbers of a vector; narrow, wide: most rows of a tile of one
/// and of two vectors.
template <class Body>
[[gnu::always_inline]] inline void for_each_tile(int64_t m, int64_t n, int64_t lanes, int64_t narrow, int64_t wide,
                                                 const Body& body) {
  for (int64_t column = 0; column < n; column += 2 * lanes) {
    const int64_t width = std::min(2 * lanes, n - column), most = width > lanes ? wide : narrow;
    const int64_t tiles = (m + most - 1) / most;
    for (int64_t t = 0; t < tiles; ++t) {
      const int64_t row = m * t / tiles;
      body(TilePlace{row, column, m * (t + 1) / tiles - row, width});
    }
  }
}

}  // namespace
}  // namespace kronbit
