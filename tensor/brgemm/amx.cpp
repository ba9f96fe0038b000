// brgemm of bf16 numbers for AMX: amx_kernel.h over the processor's tiles. Numbers below 2^-126 count as zero.
#include <immintrin.h>

#include "tensor/brgemm/amx_kernel.h"
#include "tensor/brgemm/amx_tiles.h"
#include "tensor/brgemm/variants.h"

namespace kronbit {
namespace {

struct RoundingAmxTiles : AmxTiles {
  /// The first `columns` (1..32) sums of a row, as bf16(float) does.
  __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16"))) static void round(const float* sums, int64_t columns,
                                                                                    bf16* to) {
    const auto mask = static_cast<__mmask32>((uint64_t{1} << columns) - 1u);
    const __m512 low = _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), sums);
    const __m512 high = _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask >> 16), sums + kTile);
    _mm512_mask_storeu_epi16(to, mask, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low)));
  }
};

}  // namespace

void brgemm_bf16_amx(const BrgemmPairsShape& s, std::span<const BrgemmTerm<bf16>> terms, float* c, bool accumulate) {
  brgemm_in_tiles<RoundingAmxTiles>(s, terms, c, accumulate);
}
void brgemm_bf16_rounded_amx(const BrgemmPairsShape& s, std::span<const BrgemmTerm<bf16>> terms, bf16* c) {
  brgemm_in_tiles<RoundingAmxTiles>(s, terms, c, false);
}

}  // namespace kronbit
