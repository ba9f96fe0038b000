// The row packer for AVX-512 without extensions: 8 x 8 bits are turned over by three delta swaps.
#include <immintrin.h>

#include "quant/kernels/activations/kernels.h"
#include "quant/kernels/rows/kernels.h"
#include "tensor/cpu.h"

#pragma GCC push_options
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"  // false for the intrinsics of GCC 12 (its bug 105593)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl")

namespace kronbit::quant {
namespace {

template <int kShift>
[[gnu::always_inline]] inline __m512i delta_swap(__m512i x, uint64_t mask) {
  const __m512i m = _mm512_set1_epi64(static_cast<long long>(mask));
  const __m512i t = _mm512_ternarylogic_epi64(x, _mm512_srli_epi64(x, kShift), m, 0x28);  // (x ^ shifted) & m
  return _mm512_ternarylogic_epi64(x, t, _mm512_slli_epi64(t, kShift), 0x96);             // xor of the three
}

/// Eight words of bit planes for each of two blocks: lower and upper half.
[[gnu::always_inline]] inline __m512i planes(__m512i bytes) {
  // 8 mantissas of 8 bits, turned over: byte p is bit p of them.
  bytes = delta_swap<7>(bytes, 0x00aa00aa00aa00aa);
  bytes = delta_swap<14>(bytes, 0x0000cccc0000cccc);
  bytes = delta_swap<28>(bytes, 0x00000000f0f0f0f0);
  // The bytes of a plane together: 16 mantissas within a 128-bit lane, then 32.
  const __m128i pairs = _mm_setr_epi8(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
  bytes = _mm512_shuffle_epi8(bytes, _mm512_broadcast_i32x4(pairs));
  const __m512i order = _mm512_set_epi16(31, 23, 30, 22, 29, 21, 28, 20, 27, 19, 26, 18, 25, 17, 24, 16,  //
                                         15, 7, 14, 6, 13, 5, 12, 4, 11, 3, 10, 2, 9, 1, 8, 0);
  return _mm512_permutexvar_epi16(order, bytes);
}

}  // namespace
}  // namespace kronbit::quant

#include "quant/kernels/rows/avx512.inc"

namespace kronbit::quant {
namespace {
bool supported() { return cpu().avx512f && cpu().avx512bw && cpu().avx512dq && cpu().avx512vl; }
}  // namespace

const RowPacker kPackRowsAvx512 = {"avx512", "avx512f avx512bw avx512dq avx512vl", supported, pack};

}  // namespace kronbit::quant

#pragma GCC diagnostic pop
#pragma GCC pop_options
