// Level 5, vectors: 16 outputs at a time, one per lane. What belongs to the row (its words, its step) is the same in
// all lanes, what belongs to the outputs (their words, their multipliers) lies side by side in memory, packed once;
// nothing is ever summed across lanes. VPOPCNTW counts, VPDPWSSD multiplies by the value of the bits and adds.
#pragma once

#include <immintrin.h>

#include "bench/levels/layer.h"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vnni,avx512bitalg")
#pragma GCC diagnostic ignored "-Wuninitialized"  // false for the intrinsics of GCC 12 (its bug 105593)

namespace kronbit::levels {

/// y + the scaled dot product of one block: `w` as packed, then its multipliers; Bits a constant, so that loops unroll.
template <int Bits>
inline __m512 add_block(__m512 y, const Layer& layer, const std::byte* w, int64_t xk) {
  const uint32_t* x = layer.input_words.data() + xk * Bits;
  __m512i dot = Bits == 1 ? _mm512_set1_epi32(layer.sums.data()[xk]) : _mm512_setzero_si512();
  for (int i = 0; i < Bits; ++i) {
    for (int j = 0; j < Bits; ++j) {
      const __m512i both = _mm512_and_si512(_mm512_load_si512(w + 64 * i), _mm512_set1_epi32(static_cast<int>(x[j])));
      const __m512i value = _mm512_set1_epi32(layer.products.coefficients[i * Bits + j]);
      dot = _mm512_dpwssd_epi32(dot, _mm512_popcnt_epi16(both), value);
    }
  }
  const __m512 scale = _mm512_mul_ps(_mm512_load_ps(w + 64 * Bits), _mm512_set1_ps(layer.steps.data()[xk]));
  return _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), scale, y);
}

template <int Bits>
inline void vectors(const Layer& layer, float* y) {
  for (int64_t r = 0; r < kRows; ++r) {
    const std::byte* w = layer.packed.data()->bytes;
    for (int64_t o = 0; o < kOutputs; o += 16) {
      __m512 sum = _mm512_setzero_ps();
      for (int64_t t = 0; t < kTaps; ++t) {
        for (int64_t k = 0; k < kBlocks; ++k, w += 64 * (Bits + 1))
          sum = add_block<Bits>(sum, layer, w, input_block(r + t, k));
      }
      _mm512_storeu_ps(y + r * kOutputs + o, sum);
    }
  }
}

}  // namespace kronbit::levels

#pragma GCC pop_options
