// kernels.inc for any x86-64, and for double.
#include <immintrin.h>

#include <cstdint>

#include "tensor/rows/variants.h"

namespace kronbit {
namespace {

constexpr int64_t kVectorBytes = 16;
/// The compiler's own vectors calculate like numbers, comparisons and ?: included.
template <class A>
using VectorOf [[gnu::vector_size(kVectorBytes)]] = A;

inline VectorOf<uint32_t> widen(const uint16_t* p) {
  return reinterpret_cast<VectorOf<uint32_t>>(
      _mm_unpacklo_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)), _mm_setzero_si128()));
}
inline void narrow(VectorOf<uint32_t> words, uint16_t* p) {
  // Packing saturates signed numbers: 16 bits are sign-extended to 32 first.
  const __m128i w = _mm_srai_epi32(_mm_slli_epi32(reinterpret_cast<__m128i>(words), 16), 16);
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi32(w, w));
}
inline VectorOf<float> square_root(VectorOf<float> v) { return _mm_sqrt_ps(v); }

}  // namespace
}  // namespace kronbit

#include "tensor/rows/kernels.inc"

namespace kronbit {
constinit const RowKernels<float> kRowsF32Baseline = row_table<float>();
constinit const RowKernels<bf16> kRowsBf16Baseline = row_table<bf16>();
constinit const RowKernels<double> kRowsF64Baseline = row_table<double>();
constinit const FloatKernels kFloatsBaseline = float_table();
}  // namespace kronbit
