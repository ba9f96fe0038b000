// The row packer for AVX-512: 16 blocks at a time, so that 16 largest magnitudes are found by one tree of shuffles and
// their steps computed in one vector.
//
// Two blocks then become one register of bytes: a product with the reciprocal of the step, a conversion (which rounds
// half to even), saturating packs, one clamp. Bit planes are 8 x 8 bit matrices turned over by three delta swaps, which
// need no GFNI. A NaN counts as the largest magnitude; blocks that are not finite, or so small that a reciprocal may
// overflow, are written once more by the reference.
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

constexpr int kBlocks = 16;

[[gnu::always_inline]] inline __m512i magnitudes(const float* x) {
  const __m512i mask = _mm512_set1_epi32(0x7fffffff);
  const __m512i a = _mm512_and_si512(_mm512_loadu_si512(x), mask);
  return _mm512_max_epi32(a, _mm512_and_si512(_mm512_loadu_si512(x + 16), mask));
}

[[gnu::always_inline]] inline __m512 join(__m512i a, __m512i b) {
  return _mm512_castsi512_ps(_mm512_max_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b)));
}

/// Largest magnitudes, as bits: lane i is block i. Each level halves the lanes of a block and joins two registers.
[[gnu::always_inline]] inline __m512i largest(const Batch<kBlocks>& batch) {
  __m512i four[4];  // four[d], 128-bit lane l: what is left of block 4 l + d
#pragma GCC unroll 4
  for (int d = 0; d < 4; ++d) {
    const __m512i a = magnitudes(batch.from[d]), b = magnitudes(batch.from[d + 4]);
    const __m512i c = magnitudes(batch.from[d + 8]), e = magnitudes(batch.from[d + 12]);
    const __m512i ab = _mm512_max_epi32(_mm512_shuffle_i64x2(a, b, 0x44), _mm512_shuffle_i64x2(a, b, 0xee));
    const __m512i ce = _mm512_max_epi32(_mm512_shuffle_i64x2(c, e, 0x44), _mm512_shuffle_i64x2(c, e, 0xee));
    four[d] = _mm512_max_epi32(_mm512_shuffle_i64x2(ab, ce, 0x88), _mm512_shuffle_i64x2(ab, ce, 0xdd));
  }
  const __m512 low = join(four[0], four[1]), high = join(four[2], four[3]);
  return _mm512_max_epi32(_mm512_castps_si512(_mm512_shuffle_ps(low, high, 0x88)),
                          _mm512_castps_si512(_mm512_shuffle_ps(low, high, 0xdd)));
}

/// The steps of 16 blocks and their reciprocals; both 0 but for normal blocks.
struct Steps {
  alignas(64) float values[kBlocks];
  alignas(64) float reciprocals[kBlocks];
  unsigned others = 0;  ///< blocks for the reference

  [[gnu::always_inline]] inline Steps(const Batch<kBlocks>& batch, const ActivationFormat& format) {
    const __m512i top = largest(batch);
    const int offset = (format.is_signed ? 2 : 1) - format.bits;
    const __m512i above = _mm512_sub_epi32(top, _mm512_set1_epi32(static_cast<int>(kNormalBegin)));
    const __mmask16 normal =
        _mm512_cmplt_epu32_mask(above, _mm512_set1_epi32(static_cast<int>(kNormalEnd - kNormalBegin)));
    const __m512i step =
        _mm512_add_epi32(_mm512_and_si512(top, _mm512_set1_epi32(0x7f800000)), _mm512_set1_epi32(offset * (1 << 23)));
    _mm512_store_si512(values, _mm512_maskz_mov_epi32(normal, step));
    _mm512_store_si512(reciprocals, _mm512_maskz_sub_epi32(normal, _mm512_set1_epi32(254 << 23), step));
    others = _mm512_test_epi32_mask(top, top) & ~static_cast<unsigned>(normal) & 0xffff;
  }
};

[[gnu::always_inline]] inline __m512i scaled(const float* x, __m512 reciprocal) {
  return _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x), reciprocal));
}

/// The mantissas of blocks i and i + 1, as bytes.
template <bool kSigned>
[[gnu::always_inline]] inline __m512i mantissas(const Batch<kBlocks>& batch, const Steps& steps, int i,
                                                __m512i highest) {
  const __m512 ra = _mm512_set1_ps(steps.reciprocals[i]), rb = _mm512_set1_ps(steps.reciprocals[i + 1]);
  const float *a = batch.from[i], *b = batch.from[i + 1];
  const __m512i wa = _mm512_packs_epi32(scaled(a, ra), scaled(a + 16, ra));
  const __m512i wb = _mm512_packs_epi32(scaled(b, rb), scaled(b + 16, rb));
  // No number is below the lowest mantissa, but for negative ones in an unsigned format.
  const __m512i bytes = kSigned ? _mm512_min_epi8(_mm512_packs_epi16(wa, wb), highest)
                                : _mm512_min_epu8(_mm512_packus_epi16(wa, wb), highest);
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm512_permutexvar_epi32(order, bytes);  // the packs work within 128-bit lanes
}

/// Sums of 8 bytes, in 64-bit lanes.
template <bool kSigned>
[[gnu::always_inline]] inline __m512i partial_sums(__m512i bytes) {
  if constexpr (kSigned) bytes = _mm512_xor_si512(bytes, _mm512_set1_epi8(-128));  // + 128
  return _mm512_sad_epu8(bytes, _mm512_setzero_si512());
}

/// The sums of 16 blocks from their partial sums, two blocks to a register.
template <bool kSigned>
[[gnu::always_inline]] inline __m512i block_sums(const __m512i (&sums)[8]) {
  const __m512i ones = _mm512_set1_epi16(1);
  __m512i four[2];  // of four registers: [block 0 | block 0 | block 1 | block 1], to be added
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    const __m512i a = _mm512_packs_epi32(sums[4 * i], sums[4 * i + 1]);
    const __m512i b = _mm512_packs_epi32(sums[4 * i + 2], sums[4 * i + 3]);
    four[i] = _mm512_madd_epi16(_mm512_packs_epi32(a, b), ones);
  }
  const __m512i sum =
      _mm512_add_epi32(_mm512_shuffle_i32x4(four[0], four[1], 0x88), _mm512_shuffle_i32x4(four[0], four[1], 0xdd));
  const __m512i order = _mm512_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15);
  return _mm512_sub_epi32(_mm512_permutexvar_epi32(order, sum), _mm512_set1_epi32(kSigned ? 32 * 128 : 0));
}

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

template <bool kSigned, RowForm kForm>
void pack_integers(const Batch<kBlocks>& batch, const RowsOut& to) {
  const Steps steps(batch, to.format);
  const int bits = to.format.bits;
  const __m512i highest = _mm512_set1_epi8(static_cast<char>(to.format.highest()));
  const auto words = static_cast<__mmask8>((1 << bits) - 1);
  __m512i sums[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    const __m512i bytes = mantissas<kSigned>(batch, steps, 2 * i, highest);
    sums[i] = partial_sums<kSigned>(bytes);
    const int64_t first = batch.to[2 * i], second = batch.to[2 * i + 1];
    if constexpr (kForm == RowForm::Bytes) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to.mantissas + 32 * first), _mm512_castsi512_si256(bytes));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to.mantissas + 32 * second), _mm512_extracti64x4_epi64(bytes, 1));
    } else {
      const __m512i all = planes(bytes);
      _mm256_mask_storeu_epi32(to.mantissas + 4 * bits * first, words, _mm512_castsi512_si256(all));
      _mm256_mask_storeu_epi32(to.mantissas + 4 * bits * second, words, _mm512_extracti64x4_epi64(all, 1));
    }
  }
  alignas(64) int32_t totals[kBlocks];
  _mm512_store_si512(totals, block_sums<kSigned>(sums));
  batch.spread(totals, to.sums);
  batch.spread(steps.values, to.steps);
  for (unsigned left = steps.others; left != 0; left &= left - 1) {
    const int i = __builtin_ctz(left);
    pack_block_reference(batch.from[i], to, batch.to[i]);
  }
}

/// 16 numbers mantissa * step; floats around 1.5 * 2^23 have no fraction bits, so adding it rounds.
[[gnu::always_inline]] inline __m512i values(const float* x, float reciprocal, float step, __m512 lowest,
                                             __m512 highest) {
  const __m512 round = _mm512_set1_ps(12582912.0f);
  __m512 m = _mm512_add_ps(_mm512_mul_ps(_mm512_loadu_ps(x), _mm512_set1_ps(reciprocal)), round);
  m = _mm512_sub_ps(_mm512_min_ps(_mm512_max_ps(m, lowest), highest), round);
  return _mm512_castps_si512(_mm512_mul_ps(m, _mm512_set1_ps(step)));
}

void pack_bf16(const Batch<kBlocks>& batch, const RowsOut& to) {
  const Steps steps(batch, to.format);
  const __m512 lowest = _mm512_set1_ps(12582912.0f + static_cast<float>(to.format.lowest()));
  const __m512 highest = _mm512_set1_ps(12582912.0f + static_cast<float>(to.format.highest()));
  const __m512i upper =
      _mm512_setr_epi32(0x00030001, 0x00070005, 0x000b0009, 0x000f000d, 0x00130011, 0x00170015, 0x001b0019, 0x001f001d,
                        0x00230021, 0x00270025, 0x002b0029, 0x002f002d, 0x00330031, 0x00370035, 0x003b0039,
                        0x003f003d);  // the odd words: upper halves
#pragma GCC unroll 16
  for (int i = 0; i < kBlocks; ++i) {
    const float* x = batch.from[i];
    const __m512i a = values(x, steps.reciprocals[i], steps.values[i], lowest, highest);
    const __m512i b = values(x + 16, steps.reciprocals[i], steps.values[i], lowest, highest);
    _mm512_storeu_si512(to.mantissas + 64 * batch.to[i], _mm512_permutex2var_epi16(a, upper, b));
  }
  for (unsigned left = steps.others; left != 0; left &= left - 1) {
    const int i = __builtin_ctz(left);
    pack_block_reference(batch.from[i], to, batch.to[i]);
  }
}

void pack(const float* x, int64_t pitch, int64_t rows, int64_t blocks, const RowsOut& to, int64_t first_row,
          int64_t first_block) {
  const bool bytes = to.form == RowForm::Bytes;
  auto* work = pack_bf16;
  if (to.form != RowForm::Bf16 && to.format.is_signed)
    work = bytes ? pack_integers<true, RowForm::Bytes> : pack_integers<true, RowForm::Planes>;
  if (to.form != RowForm::Bf16 && !to.format.is_signed)
    work = bytes ? pack_integers<false, RowForm::Bytes> : pack_integers<false, RowForm::Planes>;
  for_each_batch<kBlocks>(x, pitch, rows, blocks, to, first_row, first_block,
                          [&](const Batch<kBlocks>& batch) { work(batch, to); });
}

bool supported() { return cpu().avx512f && cpu().avx512bw && cpu().avx512dq && cpu().avx512vl; }

}  // namespace

const RowPacker kPackRowsAvx512 = {"avx512", "avx512f avx512bw avx512dq avx512vl", supported, pack};

}  // namespace kronbit::quant

#pragma GCC diagnostic pop
#pragma GCC pop_options
