// brgemm of bf16 numbers for AVX512-BF16: avx512.cpp with VDPBF16PS, which multiplies two numbers of k in one step and
// adds both products to an f32 sum. A pair of A is one 32-bit broadcast, a pair of rows of B one vector.
//
// The instructions take numbers below 2^-126 for zero, in and out.
#include <immintrin.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>
#include <utility>

#include "tensor/brgemm/tiles.h"
#include "tensor/brgemm/variants.h"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512bf16")

namespace kronbit {
namespace {

constexpr int64_t kLanes = 16;
using Terms = std::span<const BrgemmTerm<bf16>>;

__m512bh pair_of(const bf16* a) {
  int32_t both;
  std::memcpy(&both, a, sizeof both);
  return reinterpret_cast<__m512bh>(_mm512_set1_epi32(both));
}

void store(float* c, __mmask16 mask, __m512 sum) { _mm512_mask_storeu_ps(c, mask, sum); }
void store(bf16* c, __mmask16 mask, __m512 sum) {
  _mm256_mask_storeu_epi16(c, mask, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(sum)));
}

/// Sets of sums that take turns: few sums would wait for the latency of the product.
constexpr int sets_for(int sums) { return sums >= 12 ? 1 : sums >= 4 ? 2 : 4; }

/// One tile of C: R rows, V vectors of columns; `tail` masks the columns of the last vector. bf16 sums start at zero.
template <class Sum, int R, int V>
void tile(const BrgemmPairsShape& s, Terms terms, int64_t row, int64_t column, Sum* c, __mmask16 tail,
          bool accumulate) {
  constexpr int kSets = sets_for(R * V);
  __m512 sum[kSets][R][V] = {};
  const auto mask = [&](int v) { return v == V - 1 ? tail : static_cast<__mmask16>(0xffff); };
  const auto each = [](auto f) __attribute__((always_inline)) {
#pragma GCC unroll 24
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) f(r, v);
    }
  };
  if constexpr (std::is_same_v<Sum, float>) {
    if (accumulate)
      each([&](int r, int v) { sum[0][r][v] = _mm512_maskz_loadu_ps(mask(v), c + r * s.c_row + v * kLanes); });
  }
  const auto add_pair = [&](auto& sums, const bf16* a, const bf16* b) __attribute__((always_inline)) {
    __m512bh bv[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      bv[v] = reinterpret_cast<__m512bh>(_mm512_maskz_loadu_epi32(mask(v), b + 2 * v * kLanes));
    }
#pragma GCC unroll 24
    for (int r = 0; r < R; ++r) {
      const __m512bh av = pair_of(a + r * s.a_row);
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) sums[r][v] = _mm512_dpbf16_ps(sums[r][v], bv[v], av);
    }
  };
  for (const BrgemmTerm<bf16>& term : terms) {
    const bf16* a = term.a + row * s.a_row;
    const bf16* b = term.b + 2 * column;
    int64_t p = 0;
    for (; p + 2 * kSets <= s.k; p += 2 * kSets) {
#pragma GCC unroll 4
      for (int set = 0; set < kSets; ++set, a += 2, b += s.b_pair) add_pair(sum[set], a, b);
    }
    for (; kSets > 1 && p < s.k; p += 2, a += 2, b += s.b_pair) add_pair(sum[0], a, b);
  }
#pragma GCC unroll 4
  for (int set = 1; set < kSets; ++set)
    each([&](int r, int v) { sum[0][r][v] = _mm512_add_ps(sum[0][r][v], sum[set][r][v]); });
  each([&](int r, int v) { store(c + r * s.c_row + v * kLanes, mask(v), sum[0][r][v]); });
}

template <class Sum>
using Tile = void (*)(const BrgemmPairsShape&, Terms, int64_t, int64_t, Sum*, __mmask16, bool);
/// Tiles of 1, 2, ... rows.
template <class Sum, int V, int... R>
constexpr std::array<Tile<Sum>, sizeof...(R)> tiles(std::integer_sequence<int, R...>) {
  return {tile<Sum, R + 1, V>...};
}
// One vector of columns: 24 rows, because 12 sums would wait for the latency of the product.
template <class Sum>
constexpr auto kNarrow = tiles<Sum, 1>(std::make_integer_sequence<int, 24>());
template <class Sum>
constexpr auto kWide = tiles<Sum, 2>(std::make_integer_sequence<int, 12>());

template <class Sum>
void run(const BrgemmPairsShape& s, Terms terms, Sum* c, bool accumulate) {
  for_each_tile(s.m, s.n, kLanes, kNarrow<Sum>.size(), kWide<Sum>.size(), [&](const TilePlace& at) {
    const bool wide = at.width > kLanes;
    const __mmask16 tail = static_cast<__mmask16>((1u << (wide ? at.width - kLanes : at.width)) - 1u);
    const Tile<Sum> tile_of_rows = (wide ? kWide<Sum>.data() : kNarrow<Sum>.data())[at.rows - 1];
    tile_of_rows(s, terms, at.row, at.column, c + at.row * s.c_row + at.column, tail, accumulate);
  });
}

}  // namespace

void brgemm_bf16_avx512bf16(const BrgemmPairsShape& s, Terms terms, float* c, bool accumulate) {
  run(s, terms, c, accumulate);
}
void brgemm_bf16_rounded_avx512bf16(const BrgemmPairsShape& s, Terms terms, bf16* c) { run(s, terms, c, false); }

}  // namespace kronbit

#pragma GCC pop_options
