// kernels.inc with vectors of 8 floats.
#include <immintrin.h>

#include <cstdint>

#include "tensor/rows/variants.h"

// To the end of the file: templates are compiled there.
#pragma GCC target("avx2")

namespace kronbit {
namespace {

constexpr int64_t kVectorBytes = 32;
/// The compiler's own vectors calculate like numbers, comparisons and ?: included.
template <class A>
using VectorOf [[gnu::vector_size(kVectorBytes)]] = A;

inline VectorOf<uint32_t> widen(const uint16_t* p) {
  return reinterpret_cast<VectorOf<uint32_t>>(
      _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
/// Requires: words < 2^16
inline void narrow(VectorOf<uint32_t> words, uint16_t* p) {
  const auto w = reinterpret_cast<__m256i>(words);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                   _mm_packus_epi32(_mm256_castsi256_si128(w), _mm256_extracti128_si256(w, 1)));
}
inline VectorOf<float> square_root(VectorOf<float> v) { return _mm256_sqrt_ps(v); }

}  // namespace
}  // namespace kronbit

#include "tensor/rows/kernels.inc"

namespace kronbit {
constinit const RowKernels<float> kRowsF32Avx2 = row_table<float>();
constinit const RowKernels<bf16> kRowsBf16Avx2 = row_table<bf16>();
constinit const FloatKernels kFloatsAvx2 = float_table();
}  // namespace kronbit
