// brgemm for AVX-512: a tile of C, up to 12 rows by 32 columns, stays in registers over all terms and all of k.
//
// Registers: 12 x 2 accumulators + 2 vectors of B + broadcast elements of A <= 32. Each step of k loads 2 vectors and
// broadcasts 12 numbers for 24 multiply-adds, so the two FMA units (12 cycles), not the two load ports (7 cycles), are
// the limit. Nothing is packed: A is read by broadcast, which any strides allow; the last columns of B and C are
// masked, and masked lanes touch no memory.
#include <immintrin.h>

#include <algorithm>
#include <array>
#include <utility>

#include "tensor/brgemm/tiles.h"
#include "tensor/brgemm/variants.h"

#pragma GCC push_options
#pragma GCC target("avx512f")

namespace kronbit {
namespace {

constexpr int64_t kLanes = 16;

/// One tile of C: R rows, V vectors of columns; `tail` masks the columns of the last vector.
template <int R, int V>
void tile(const BrgemmShape& s, std::span<const BrgemmTerm<float>> terms, int64_t row, int64_t column, float* c,
          __mmask16 tail, bool accumulate) {
  __m512 sum[R][V];
  const auto mask = [&](int v) { return v == V - 1 ? tail : static_cast<__mmask16>(0xffff); };
#pragma GCC unroll 24
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      sum[r][v] = accumulate ? _mm512_maskz_loadu_ps(mask(v), c + r * s.c_row + v * kLanes) : _mm512_setzero_ps();
    }
  }
  for (size_t i = 0; i < terms.size(); ++i) {
    const float* a = terms[i].a + row * s.a_row;
    const float* b = terms[i].b + column;
    // Rows of one cache line each give the hardware nothing to foresee the next term by.
    if (s.k <= kLanes && i + 1 < terms.size()) {
      const float* next = terms[i + 1].a + row * s.a_row;
#pragma GCC unroll 24
      for (int r = 0; r < R; ++r) _mm_prefetch(reinterpret_cast<const char*>(next + r * s.a_row), _MM_HINT_T0);
    }
    for (int64_t p = 0; p < s.k; ++p, a += s.a_col, b += s.b_row) {
      __m512 bv[V];
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) bv[v] = _mm512_maskz_loadu_ps(mask(v), b + v * kLanes);
#pragma GCC unroll 24
      for (int r = 0; r < R; ++r) {
        const __m512 av = _mm512_set1_ps(a[r * s.a_row]);
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) sum[r][v] = _mm512_fmadd_ps(av, bv[v], sum[r][v]);
      }
    }
  }
#pragma GCC unroll 24
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) _mm512_mask_storeu_ps(c + r * s.c_row + v * kLanes, mask(v), sum[r][v]);
  }
}

using Tile = void (*)(const BrgemmShape&, std::span<const BrgemmTerm<float>>, int64_t, int64_t, float*, __mmask16,
                      bool);
/// Tiles of 1, 2, ... rows.
template <int V, int... R>
constexpr std::array<Tile, sizeof...(R)> tiles(std::integer_sequence<int, R...>) {
  return {tile<R + 1, V>...};
}
// One vector of columns: 24 rows, because 12 sums would wait for the latency of the multiply-add.
constexpr auto kNarrow = tiles<1>(std::make_integer_sequence<int, 24>());
constexpr auto kWide = tiles<2>(std::make_integer_sequence<int, 12>());

}  // namespace

void brgemm_f32_avx512(const BrgemmShape& s, std::span<const BrgemmTerm<float>> terms, float* c, bool accumulate) {
  for_each_tile(s.m, s.n, kLanes, kNarrow.size(), kWide.size(), [&](const TilePlace& at) {
    const bool wide = at.width > kLanes;
    const auto tail = static_cast<__mmask16>((1u << (wide ? at.width - kLanes : at.width)) - 1u);
    const Tile tile_of_rows = (wide ? kWide.data() : kNarrow.data())[at.rows - 1];
    tile_of_rows(s, terms, at.row, at.column, c + at.row * s.c_row + at.column, tail, accumulate);
  });
}

}  // namespace kronbit

#pragma GCC pop_options
