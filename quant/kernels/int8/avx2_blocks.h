// Blocks of bytes times rows of bytes for AVX2, for the files that compile for it: VPMADDUBSW adds two products in 16
// bits, which saturate.
//
// Exact without a check in the loop, from the widths alone. Let weights have b bits and mantissas c. The operand
// without sign is at most 2^n - 1, the other one at least -2^(m-1), n + m = b + c, so g steps (2 products each) stay
// within 2 g (2^n - 1) 2^(m-1) < g 2^(b+c). That is at most 2^15 - 1 if
//   b + c <= 12: 8 steps, the whole block, then one VPMADDWD;    13: 4 steps;    14: 2 steps;    15: 1 step;
//   16: not even one. Bytes are then widened to 16 bits, and VPMADDWD adds two products in 32.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <array>

#include "quant/kernels/int8/format.h"
#include "quant/kernels/int8/tiles.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma")

namespace kronbit::quant {
namespace {

/// Steps that are summed in 16 bits, 0 for none: the second parameter of add_blocks().
inline int steps_in_16_bits(const LayerShape& shape) {
  const int bits = int8::weight_bits(shape) + shape.activations.bits;
  return bits > 15 ? 0 : 8 >> std::max(0, bits - 12);
}

/// Step `step` of half a panel.
[[gnu::always_inline]] inline __m256i weights_of(const std::byte* w, int step, int half) {
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(w + step * int8::kStepBytes + 32 * half));
}

/// Keeps the compiler from adding in another order, which it does to integers, with more sums than there are registers.
[[gnu::always_inline]] inline void keep_order(__m256i& sum) { __asm__("" : "+x"(sum)); }

/// dot[r][h] = sum over a block of weights times mantissas, kSteps16 steps at a time in 16 bits.
template <bool kSigned, int kSteps16, int R>
[[gnu::always_inline]] inline void narrow_dots(const TapRows<R>& x, const std::byte* w, int64_t k,
                                               __m256i (&dot)[R][2]) {
  __m256i sum16[R][2];
#pragma GCC unroll 8
  for (int j = 0; j < int8::kSteps; ++j) {
    const __m256i wv[2] = {weights_of(w, j, 0), weights_of(w, j, 1)};
#pragma GCC unroll 3
    for (int r = 0; r < R; ++r) {
      const __m256i mv = _mm256_set1_epi32(x.four(r, k, j));
#pragma GCC unroll 2
      for (int h = 0; h < 2; ++h) {
        const __m256i pairs = kSigned ? _mm256_maddubs_epi16(wv[h], mv) : _mm256_maddubs_epi16(mv, wv[h]);
        sum16[r][h] = j % kSteps16 == 0 ? pairs : _mm256_add_epi16(sum16[r][h], pairs);
        keep_order(sum16[r][h]);
        if (j % kSteps16 != kSteps16 - 1) continue;
        const __m256i sum32 = _mm256_madd_epi16(sum16[r][h], _mm256_set1_epi16(1));
        dot[r][h] = j < kSteps16 ? sum32 : _mm256_add_epi32(dot[r][h], sum32);
      }
    }
  }
}

/// The even and the odd bytes as 16-bit numbers.
template <bool kSigned>
[[gnu::always_inline]] inline __m256i even(__m256i bytes) {
  return kSigned ? _mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8) : _mm256_and_si256(bytes, _mm256_set1_epi16(0xff));
}
template <bool kSigned>
[[gnu::always_inline]] inline __m256i odd(__m256i bytes) {
  return kSigned ? _mm256_srai_epi16(bytes, 8) : _mm256_srli_epi16(bytes, 8);
}

/// The same for any widths.
template <bool kSigned, int R>
[[gnu::always_inline]] inline void wide_dots(const TapRows<R>& x, const std::byte* w, int64_t k, __m256i (&dot)[R][2]) {
#pragma GCC unroll 8
  for (int j = 0; j < int8::kSteps; ++j) {
    __m256i we[2], wo[2];
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      we[h] = even<!kSigned>(weights_of(w, j, h));
      wo[h] = odd<!kSigned>(weights_of(w, j, h));
    }
#pragma GCC unroll 3
    for (int r = 0; r < R; ++r) {
      const __m256i mv = _mm256_set1_epi32(x.four(r, k, j)), me = even<kSigned>(mv), mo = odd<kSigned>(mv);
#pragma GCC unroll 2
      for (int h = 0; h < 2; ++h) {
        const __m256i sum = _mm256_add_epi32(_mm256_madd_epi16(we[h], me), _mm256_madd_epi16(wo[h], mo));
        dot[r][h] = j == 0 ? sum : _mm256_add_epi32(dot[r][h], sum);
        keep_order(dot[r][h]);
      }
    }
  }
}

/// y[r][half] += blocks first .. end - 1 of R rows; w: the weights of block `first`, as int8/format.h has them.
template <bool kSigned, int kSteps16, int R>
[[gnu::always_inline]] inline void add_blocks(const TapRows<R>& x, const std::byte* w, int64_t first, int64_t end,
                                              int bias, __m256 (&y)[R][2]) {
  for (int64_t k = first; k < end; ++k, w += int8::kBlockBytes) {
    __m256i dot[R][2];
    if constexpr (kSteps16 == 0) {
      wide_dots<kSigned>(x, w, k, dot);
    } else {
      narrow_dots<kSigned, kSteps16>(x, w, k, dot);
    }
    const auto* multiplier = reinterpret_cast<const float*>(w + int8::kSteps * int8::kStepBytes);
#pragma GCC unroll 3
    for (int r = 0; r < R; ++r) {
      const __m256 step = _mm256_set1_ps(x.steps[r][k]);
      const __m256i surplus = _mm256_mullo_epi32(_mm256_set1_epi32(bias), _mm256_set1_epi32(x.sums[r][k]));
#pragma GCC unroll 2
      for (int h = 0; h < 2; ++h) {
        if constexpr (kSigned) dot[r][h] = _mm256_sub_epi32(dot[r][h], surplus);
        const __m256 scale = _mm256_mul_ps(_mm256_load_ps(multiplier + 8 * h), step);
        y[r][h] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot[r][h]), scale, y[r][h]);
      }
    }
  }
}

/// The tiles of 1, 2 and 3 rows for a layer's widths. Tile<kSigned, kSteps16, R>::run is the function of R rows.
template <template <bool, int, int> class Tile, bool kSigned, int kSteps16>
constexpr std::array kTiles = {Tile<kSigned, kSteps16, 1>::run, Tile<kSigned, kSteps16, 2>::run,
                               Tile<kSigned, kSteps16, 3>::run};
template <template <bool, int, int> class Tile, bool kSigned>
const auto& tiles_of(int steps_16) {
  switch (steps_16) {
    case 8:
      return kTiles<Tile, kSigned, 8>;
    case 4:
      return kTiles<Tile, kSigned, 4>;
    case 2:
      return kTiles<Tile, kSigned, 2>;
    case 1:
      return kTiles<Tile, kSigned, 1>;
    default:
      return kTiles<Tile, kSigned, 0>;
  }
}
template <template <bool, int, int> class Tile>
const auto& tiles_for(const LayerShape& shape) {
  const int steps_16 = steps_in_16_bits(shape);
  return shape.activations.is_signed ? tiles_of<Tile, true>(steps_16) : tiles_of<Tile, false>(steps_16);
}

}  // namespace
}  // namespace kronbit::quant

#pragma GCC pop_options
