// brgemm for AVX2 with FMA: as avx512.cpp, with a tile of 6 rows by 16 columns in the 16 registers (12 accumulators, 2
// vectors of B, broadcast elements of A). Full columns are loaded plainly, the last ones by maskload, which touches no
// memory where the mask is off.
#include <immintrin.h>

#include <algorithm>

#include "tensor/brgemm/tiles.h"
#include "tensor/brgemm/variants.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma")

namespace kronbit {
namespace {

constexpr int64_t kLanes = 8;

/// One tile of C: R rows, V vectors of columns; if Masked, `tail` masks the columns of the last vector.
template <int R, int V, bool Masked>
void tile(const BrgemmShape& s, std::span<const BrgemmTerm<float>> terms, int64_t row, int64_t column, float* c,
          const int* tail_lanes, bool accumulate) {
  const __m256i tail = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(tail_lanes));
  const auto load = [&](const float* p, int v) {
    return Masked && v == V - 1 ? _mm256_maskload_ps(p, tail) : _mm256_loadu_ps(p);
  };
  __m256 sum[R][V];
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      sum[r][v] = accumulate ? load(c + r * s.c_row + v * kLanes, v) : _mm256_setzero_ps();
    }
  }
  for (const BrgemmTerm<float>& term : terms) {
    const float* b = term.b + column;
    const float* a = term.a + row * s.a_row;
    for (int64_t p = 0; p < s.k; ++p, a += s.a_col, b += s.b_row) {
      __m256 bv[V];
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) bv[v] = load(b + v * kLanes, v);
#pragma GCC unroll 6
      for (int r = 0; r < R; ++r) {
        const __m256 av = _mm256_broadcast_ss(a + r * s.a_row);
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) sum[r][v] = _mm256_fmadd_ps(av, bv[v], sum[r][v]);
      }
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      float* out = c + r * s.c_row + v * kLanes;
      if (Masked && v == V - 1) {
        _mm256_maskstore_ps(out, tail, sum[r][v]);
      } else {
        _mm256_storeu_ps(out, sum[r][v]);
      }
    }
  }
}

using Tile = void (*)(const BrgemmShape&, std::span<const BrgemmTerm<float>>, int64_t, int64_t, float*, const int*,
                      bool);
constexpr int64_t kRows = 6;
template <int V, bool Masked>
constexpr Tile kTiles[kRows] = {tile<1, V, Masked>, tile<2, V, Masked>, tile<3, V, Masked>,
                                tile<4, V, Masked>, tile<5, V, Masked>, tile<6, V, Masked>};
/// The 8 numbers from kMask + 8 - n on are a mask of the first n lanes.
constexpr int kMask[2 * kLanes] = {-1, -1, -1, -1, -1, -1, -1, -1};

}  // namespace

void brgemm_f32_avx2(const BrgemmShape& s, std::span<const BrgemmTerm<float>> terms, float* c, bool accumulate) {
  for_each_tile(s.m, s.n, kLanes, kRows, kRows, [&](const TilePlace& at) {
    const bool two = at.width > kLanes, masked = at.width % kLanes != 0;
    const Tile* tiles =
        two ? (masked ? kTiles<2, true> : kTiles<2, false>) : (masked ? kTiles<1, true> : kTiles<1, false>);
    const int* tail = kMask + (masked ? kLanes - at.width % kLanes : 0);
    tiles[at.rows - 1](s, terms, at.row, at.column, c + at.row * s.c_row + at.column, tail, accumulate);
  });
}

}  // namespace kronbit

#pragma GCC pop_options
