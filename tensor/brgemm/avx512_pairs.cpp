// brgemm of bf16 numbers for AVX-512 without BF16 instructions: the tile of avx512.cpp over numbers widened to f32.
//
// A pair of neighbours is one 32-bit word: shifted left it is the first number as f32, with its lower half cleared the
// second one. B is widened on its way from memory (4 operations for 48 multiply-adds of a full tile); A, broadcast
// number by number, is widened beforehand into a buffer that stays in L1.
#include <immintrin.h>

#include <algorithm>
#include <array>
#include <type_traits>
#include <utility>

#include "tensor/brgemm/tiles.h"
#include "tensor/brgemm/variants.h"

#pragma GCC push_options
#pragma GCC target("avx512f")
#pragma GCC diagnostic ignored "-Wuninitialized"  // false for the intrinsics of GCC 12 (its bug 105593)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

namespace kronbit {
namespace {

constexpr int64_t kLanes = 16;
constexpr int64_t kPairs = 64;  // pairs of k widened at a time: 24 rows of them are 12 KB
using Terms = std::span<const BrgemmTerm<bf16>>;

__mmask16 first_lanes(int64_t count) { return static_cast<__mmask16>((1u << std::min(count, kLanes)) - 1u); }
__m512 first_of(__m512i pairs) { return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)); }
__m512 second_of(__m512i pairs) {
  return _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(static_cast<int>(0xffff0000u))));
}

/// One row of A: the first numbers of its pairs, then the second ones.
struct WidenedRow {
  alignas(64) float first[kPairs];
  float second[kPairs];
};
void widen(const bf16* a, int64_t pairs, WidenedRow& row) {
  for (int64_t p = 0; p < pairs; p += kLanes) {
    const __m512i v = _mm512_maskz_loadu_epi32(first_lanes(pairs - p), a + 2 * p);
    _mm512_store_ps(row.first + p, first_of(v));
    _mm512_store_ps(row.second + p, second_of(v));
  }
}

void store(float* c, __mmask16 mask, __m512 sum) { _mm512_mask_storeu_ps(c, mask, sum); }
/// Rounds as bf16(float) does.
void store(bf16* c, __mmask16 mask, __m512 sum) {
  const __m512i bits = _mm512_castps_si512(sum), upper = _mm512_srli_epi32(bits, 16);
  const __m512i odd = _mm512_and_si512(upper, _mm512_set1_epi32(1));
  const __m512i rounded =
      _mm512_srli_epi32(_mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd), 16);
  const __m512i quiet_nan = _mm512_or_si512(upper, _mm512_set1_epi32(0x40));
  const __mmask16 is_nan = _mm512_cmp_ps_mask(sum, sum, _CMP_UNORD_Q);
  _mm512_mask_cvtepi32_storeu_epi16(c, mask, _mm512_mask_mov_epi32(rounded, is_nan, quiet_nan));
}

/// One tile of C: R rows, V vectors of columns; `tail` masks the columns of the last vector. bf16 sums start at zero.
template <class Sum, int R, int V>
void tile(const BrgemmPairsShape& s, Terms terms, int64_t row, int64_t column, Sum* c, __mmask16 tail,
          bool accumulate) {
  __m512 sum[R][V];
  WidenedRow widened[R];
  const auto mask = [&](int v) { return v == V - 1 ? tail : static_cast<__mmask16>(0xffff); };
#pragma GCC unroll 24
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      sum[r][v] = _mm512_setzero_ps();
      if constexpr (std::is_same_v<Sum, float>) {
        if (accumulate) sum[r][v] = _mm512_maskz_loadu_ps(mask(v), c + r * s.c_row + v * kLanes);
      }
    }
  }
  for (const BrgemmTerm<bf16>& term : terms) {
    const bf16* b = term.b + 2 * column;
    for (int64_t start = 0; start < s.k / 2; start += kPairs) {
      const int64_t pairs = std::min(kPairs, s.k / 2 - start);
      for (int64_t r = 0; r < R; ++r) widen(term.a + (row + r) * s.a_row + 2 * start, pairs, widened[r]);
      for (int64_t p = 0; p < pairs; ++p, b += s.b_pair) {
        __m512i bv[V];
        __m512 half[V];
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) {
          bv[v] = _mm512_maskz_loadu_epi32(mask(v), b + 2 * v * kLanes);
          half[v] = first_of(bv[v]);
        }
#pragma GCC unroll 24
        for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
          for (int v = 0; v < V; ++v)
            sum[r][v] = _mm512_fmadd_ps(_mm512_set1_ps(widened[r].first[p]), half[v], sum[r][v]);
        }
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) half[v] = second_of(bv[v]);
#pragma GCC unroll 24
        for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
          for (int v = 0; v < V; ++v)
            sum[r][v] = _mm512_fmadd_ps(_mm512_set1_ps(widened[r].second[p]), half[v], sum[r][v]);
        }
      }
    }
  }
#pragma GCC unroll 24
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) store(c + r * s.c_row + v * kLanes, mask(v), sum[r][v]);
  }
}

template <class Sum>
using Tile = void (*)(const BrgemmPairsShape&, Terms, int64_t, int64_t, Sum*, __mmask16, bool);
/// Tiles of 1, 2, ... rows.
template <class Sum, int V, int... R>
constexpr std::array<Tile<Sum>, sizeof...(R)> tiles(std::integer_sequence<int, R...>) {
  return {tile<Sum, R + 1, V>...};
}
// One vector of columns: 24 rows, because 12 sums would wait for the latency of the multiply-add.
template <class Sum>
constexpr auto kNarrow = tiles<Sum, 1>(std::make_integer_sequence<int, 24>());
template <class Sum>
constexpr auto kWide = tiles<Sum, 2>(std::make_integer_sequence<int, 12>());

template <class Sum>
void run(const BrgemmPairsShape& s, Terms terms, Sum* c, bool accumulate) {
  for_each_tile(s.m, s.n, kLanes, kNarrow<Sum>.size(), kWide<Sum>.size(), [&](const TilePlace& at) {
    const bool wide = at.width > kLanes;
    const __mmask16 tail = first_lanes(wide ? at.width - kLanes : at.width);
    const Tile<Sum> tile_of_rows = (wide ? kWide<Sum>.data() : kNarrow<Sum>.data())[at.rows - 1];
    tile_of_rows(s, terms, at.row, at.column, c + at.row * s.c_row + at.column, tail, accumulate);
  });
}

}  // namespace

void brgemm_bf16_avx512(const BrgemmPairsShape& s, Terms terms, float* c, bool accumulate) {
  run(s, terms, c, accumulate);
}
void brgemm_bf16_rounded_avx512(const BrgemmPairsShape& s, Terms terms, bf16* c) { run(s, terms, c, false); }

}  // namespace kronbit

#pragma GCC pop_options
