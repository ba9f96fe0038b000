// brgemm of bf16 numbers for AVX2 with FMA: as avx512_pairs.cpp, in the tile of avx2.cpp (6 rows by 16 columns).
#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "tensor/brgemm/tiles.h"
#include "tensor/brgemm/variants.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma")

namespace kronbit {
namespace {

constexpr int64_t kLanes = 8;
constexpr int64_t kPairs = 64;  // pairs of k widened at a time: 6 rows of them are 3 KB
using Terms = std::span<const BrgemmTerm<bf16>>;

/// The 8 numbers from kMask + 8 - n on are a mask of the first n lanes.
constexpr int kMask[2 * kLanes] = {-1, -1, -1, -1, -1, -1, -1, -1};
__m256i first_lanes(int64_t count) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kMask + kLanes - std::min(count, kLanes)));
}
__m256i load_pairs(const bf16* from, __m256i mask) {
  return _mm256_maskload_epi32(reinterpret_cast<const int*>(from), mask);
}
/// The first (half 0) or second number of each pair.
__m256 number_of(__m256i pairs, int half) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_srl_epi32(pairs, _mm_cvtsi32_si128(16 * half)), 16));
}

/// One row of A: the first numbers of its pairs, then the second ones.
struct WidenedRow {
  alignas(32) float halves[2][kPairs];
};
void widen(const bf16* a, int64_t pairs, WidenedRow& row) {
  for (int64_t p = 0; p < pairs; p += kLanes) {
    const __m256i v = load_pairs(a + 2 * p, first_lanes(pairs - p));
    _mm256_store_ps(row.halves[0] + p, number_of(v, 0));
    _mm256_store_ps(row.halves[1] + p, number_of(v, 1));
  }
}

/// The first `columns` (1..8) sums.
void store(float* c, int64_t columns, __m256 sum) { _mm256_maskstore_ps(c, first_lanes(columns), sum); }
/// Rounds as bf16(float) does.
void store(bf16* c, int64_t columns, __m256 sum) {
  const __m256i bits = _mm256_castps_si256(sum), upper = _mm256_srli_epi32(bits, 16);
  const __m256i odd = _mm256_and_si256(upper, _mm256_set1_epi32(1));
  const __m256i rounded =
      _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd), 16);
  const __m256i quiet_nan = _mm256_or_si256(upper, _mm256_set1_epi32(0x40));
  const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(sum, sum, _CMP_UNORD_Q));
  const __m256i words = _mm256_blendv_epi8(rounded, quiet_nan, is_nan);
  const __m128i packed = _mm_packus_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  if (columns == kLanes) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(c), packed);
  } else {
    std::memcpy(static_cast<void*>(c), &packed, static_cast<size_t>(columns) * sizeof(bf16));
  }
}

/// One tile of C: R rows, V vectors of columns, of the last one the first `columns`; Masked if not all 8. bf16 sums
/// start at zero.
template <class Sum, int R, int V, bool Masked>
void tile(const BrgemmPairsShape& s, Terms terms, int64_t row, int64_t column, Sum* c, int64_t columns,
          bool accumulate) {
  const __m256i tail = first_lanes(columns);
  const auto load = [&](const bf16* from, int v) {
    return Masked && v == V - 1 ? load_pairs(from, tail) : _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  };
  __m256 sum[R][V];
  WidenedRow widened[R];
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      sum[r][v] = _mm256_setzero_ps();
      if constexpr (std::is_same_v<Sum, float>) {
        if (accumulate) {
          sum[r][v] = _mm256_maskload_ps(c + r * s.c_row + v * kLanes, first_lanes(v == V - 1 ? columns : kLanes));
        }
      }
    }
  }
  for (const BrgemmTerm<bf16>& term : terms) {
    const bf16* b = term.b + 2 * column;
    for (int64_t start = 0; start < s.k / 2; start += kPairs) {
      const int64_t pairs = std::min(kPairs, s.k / 2 - start);
      for (int64_t r = 0; r < R; ++r) widen(term.a + (row + r) * s.a_row + 2 * start, pairs, widened[r]);
      for (int64_t p = 0; p < pairs; ++p, b += s.b_pair) {
#pragma GCC unroll 1  // both halves at once are more than the compiler finds registers for
        for (int half = 0; half < 2; ++half) {
          __m256 bv[V];
#pragma GCC unroll 2
          for (int v = 0; v < V; ++v) bv[v] = number_of(load(b + 2 * v * kLanes, v), half);
#pragma GCC unroll 6
          for (int r = 0; r < R; ++r) {
            const __m256 av = _mm256_broadcast_ss(widened[r].halves[half] + p);
#pragma GCC unroll 2
            for (int v = 0; v < V; ++v) sum[r][v] = _mm256_fmadd_ps(av, bv[v], sum[r][v]);
          }
        }
      }
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) store(c + r * s.c_row + v * kLanes, v == V - 1 ? columns : kLanes, sum[r][v]);
  }
}

template <class Sum>
using Tile = void (*)(const BrgemmPairsShape&, Terms, int64_t, int64_t, Sum*, int64_t, bool);
constexpr int64_t kRows = 6;
template <class Sum, int V, bool Masked>
constexpr Tile<Sum> kTiles[kRows] = {tile<Sum, 1, V, Masked>, tile<Sum, 2, V, Masked>, tile<Sum, 3, V, Masked>,
                                     tile<Sum, 4, V, Masked>, tile<Sum, 5, V, Masked>, tile<Sum, 6, V, Masked>};

template <class Sum>
void run(const BrgemmPairsShape& s, Terms terms, Sum* c, bool accumulate) {
  for_each_tile(s.m, s.n, kLanes, kRows, kRows, [&](const TilePlace& at) {
    const bool two = at.width > kLanes, masked = at.width % kLanes != 0;
    const Tile<Sum>* tiles = two ? (masked ? kTiles<Sum, 2, true> : kTiles<Sum, 2, false>)
                                 : (masked ? kTiles<Sum, 1, true> : kTiles<Sum, 1, false>);
    tiles[at.rows - 1](s, terms, at.row, at.column, c + at.row * s.c_row + at.column,
                       two ? at.width - kLanes : at.width, accumulate);
  });
}

}  // namespace

void brgemm_bf16_avx2(const BrgemmPairsShape& s, Terms terms, float* c, bool accumulate) {
  run(s, terms, c, accumulate);
}
void brgemm_bf16_rounded_avx2(const BrgemmPairsShape& s, Terms terms, bf16* c) { run(s, terms, c, false); }

}  // namespace kronbit

#pragma GCC pop_options
