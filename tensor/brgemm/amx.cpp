// brgemm of bf16 numbers for AMX: the tile instructions under amx_kernel.h, written as assembly because the intrinsics
// of GCC 12 do not tell the compiler that a tile load reads memory.
//
// The instructions take numbers below 2^-126 for zero, in and out.
#include <immintrin.h>

#include "tensor/brgemm/amx_kernel.h"
#include "tensor/brgemm/variants.h"

namespace kronbit {
namespace {

struct AmxTiles {
  static void configure(const TileConfig& config) { asm volatile("ldtilecfg %0" ::"m"(config)); }
  static void release() { asm volatile("tilerelease"); }
  template <int T>
  static void zero() {
    asm volatile("tilezero %%tmm%c0" ::"i"(T));
  }
  template <int T>
  static void load(const void* from, int64_t row_bytes) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(row_bytes), "i"(T) : "memory");
  }
  template <int T>
  static void store(void* to, int64_t row_bytes) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(row_bytes), "i"(T) : "memory");
  }
  template <int Sum, int A, int B>
  static void add_products() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(Sum), "i"(A), "i"(B));
  }
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
  brgemm_in_tiles<AmxTiles>(s, terms, c, accumulate);
}
void brgemm_bf16_rounded_amx(const BrgemmPairsShape& s, std::span<const BrgemmTerm<bf16>> terms, bf16* c) {
  brgemm_in_tiles<AmxTiles>(s, terms, c, false);
}

}  // namespace kronbit
