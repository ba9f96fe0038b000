// The row packer for AVX-512 with GFNI and VBMI: one affine transformation turns 8 x 8 bits over.
#include <immintrin.h>

#include "quant/kernels/activations/kernels.h"
#include "quant/kernels/rows/kernels.h"
#include "tensor/cpu.h"

#pragma GCC push_options
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"  // false for the intrinsics of GCC 12 (its bug 105593)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,gfni")

namespace kronbit::quant {
namespace {

/// Eight words of bit planes for each of two blocks: lower and upper half.
[[gnu::always_inline]] inline __m512i planes(__m512i bytes) {
  // The product of the unit matrix with 8 bytes taken as a matrix: its byte p is bit p of them, the last byte first.
  const __m128i backwards = _mm_setr_epi8(7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8);
  bytes = _mm512_shuffle_epi8(bytes, _mm512_broadcast_i32x4(backwards));
  bytes = _mm512_gf2p8affine_epi64_epi8(_mm512_set1_epi64(static_cast<long long>(0x8040201008040201)), bytes, 0);
  // The four bytes of a plane together: 8 mantissas each, 8 bytes apart.
  const __m512i order =
      _mm512_setr_epi32(0x18100800, 0x19110901, 0x1a120a02, 0x1b130b03, 0x1c140c04, 0x1d150d05, 0x1e160e06, 0x1f170f07,
                        0x38302820, 0x39312921, 0x3a322a22, 0x3b332b23, 0x3c342c24, 0x3d352d25, 0x3e362e26, 0x3f372f27);
  return _mm512_permutexvar_epi8(order, bytes);
}

}  // namespace
}  // namespace kronbit::quant

#include "quant/kernels/rows/avx512.inc"

namespace kronbit::quant {
namespace {
bool supported() {
  return cpu().avx512f && cpu().avx512bw && cpu().avx512dq && cpu().avx512vl && cpu().avx512_vbmi && cpu().gfni;
}
}  // namespace

const RowPacker kPackRowsAvx512Gfni = {"avx512gfni", "avx512f avx512bw avx512dq avx512vl avx512-vbmi gfni", supported,
                                       pack};

}  // namespace kronbit::quant

#pragma GCC diagnostic pop
#pragma GCC pop_options
