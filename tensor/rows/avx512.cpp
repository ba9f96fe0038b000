// kernels.inc with vectors of 16 floats.
#include <immintrin.h>

#include <cstdint>

#include "tensor/rows/variants.h"

// To the end of the file: templates are compiled there.
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")

namespace kronbit {
namespace {

constexpr int64_t kVectorBytes = 64;
/// The compiler's own vectors calculate like numbers, comparisons and ?: included.
template <class A>
using VectorOf [[gnu::vector_size(kVectorBytes)]] = A;

/// The forms with a mask, because the others make g++ 12 warn of a variable in its own header.
constexpr __mmask16 kAll = 0xffff;
inline VectorOf<uint32_t> widen(const uint16_t* p) {
  return reinterpret_cast<VectorOf<uint32_t>>(
      _mm512_maskz_cvtepu16_epi32(kAll, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))));
}
inline void narrow(VectorOf<uint32_t> words, uint16_t* p) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm512_maskz_cvtepi32_epi16(kAll, reinterpret_cast<__m512i>(words)));
}
inline VectorOf<float> square_root(VectorOf<float> v) { return _mm512_maskz_sqrt_ps(kAll, v); }

}  // namespace
}  // namespace kronbit

#include "tensor/rows/kernels.inc"

namespace kronbit {
constinit const RowKernels<float> kRowsF32Avx512 = row_table<float>();
constinit const RowKernels<bf16> kRowsBf16Avx512 = row_table<bf16>();
constinit const FloatKernels kFloatsAvx512 = float_table();
}  // namespace kronbit
