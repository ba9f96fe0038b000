// The row packer for AVX2: as avx512.cpp, 8 blocks at a time, one block in a register of bytes. A bit plane is the top
// bits of 32 bytes, which one instruction (VPMOVMSKB) collects.
#include <immintrin.h>

#include "quant/kernels/activations/kernels.h"
#include "quant/kernels/rows/kernels.h"
#include "tensor/cpu.h"

#pragma GCC push_options
#pragma GCC target("avx2")

namespace kronbit::quant {
namespace {

constexpr int kBlocks = 8;

[[gnu::always_inline]] inline __m256i load(const float* x) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
}

[[gnu::always_inline]] inline __m256i magnitudes(const float* x) {
  const __m256i mask = _mm256_set1_epi32(0x7fffffff);
  const __m256i a = _mm256_max_epi32(_mm256_and_si256(load(x), mask), _mm256_and_si256(load(x + 8), mask));
  const __m256i b = _mm256_max_epi32(_mm256_and_si256(load(x + 16), mask), _mm256_and_si256(load(x + 24), mask));
  return _mm256_max_epi32(a, b);
}

[[gnu::always_inline]] inline __m256 join(__m256i a, __m256i b) {
  return _mm256_castsi256_ps(_mm256_max_epi32(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b)));
}

/// Largest magnitudes, as bits: lane i is block i. Each level halves the lanes of a block and joins two registers.
[[gnu::always_inline]] inline __m256i largest(const Batch<kBlocks>& batch) {
  __m256i four[4];  // four[d], 128-bit lane l: what is left of block 4 l + d
#pragma GCC unroll 4
  for (int d = 0; d < 4; ++d) {
    const __m256i a = magnitudes(batch.from[d]), b = magnitudes(batch.from[d + 4]);
    four[d] = _mm256_max_epi32(_mm256_permute2x128_si256(a, b, 0x20), _mm256_permute2x128_si256(a, b, 0x31));
  }
  const __m256 low = join(four[0], four[1]), high = join(four[2], four[3]);
  return _mm256_max_epi32(_mm256_castps_si256(_mm256_shuffle_ps(low, high, 0x88)),
                          _mm256_castps_si256(_mm256_shuffle_ps(low, high, 0xdd)));
}

/// The steps of 8 blocks and their reciprocals; both 0 but for normal blocks.
struct Steps {
  alignas(32) float values[kBlocks];
  alignas(32) float reciprocals[kBlocks];
  unsigned others = 0;  ///< blocks for the reference

  [[gnu::always_inline]] inline Steps(const Batch<kBlocks>& batch, const ActivationFormat& format) {
    const __m256i top = largest(batch);
    const int offset = (format.is_signed ? 2 : 1) - format.bits;
    // Magnitudes are not negative as integers, so signed comparisons do.
    const __m256i normal =
        _mm256_and_si256(_mm256_cmpgt_epi32(top, _mm256_set1_epi32(static_cast<int>(kNormalBegin - 1))),
                         _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(kNormalEnd)), top));
    const __m256i step =
        _mm256_add_epi32(_mm256_and_si256(top, _mm256_set1_epi32(0x7f800000)), _mm256_set1_epi32(offset * (1 << 23)));
    const __m256i reciprocal = _mm256_sub_epi32(_mm256_set1_epi32(254 << 23), step);
    _mm256_store_ps(values, _mm256_castsi256_ps(_mm256_and_si256(step, normal)));
    _mm256_store_ps(reciprocals, _mm256_castsi256_ps(_mm256_and_si256(reciprocal, normal)));
    const __m256i done = _mm256_or_si256(normal, _mm256_cmpeq_epi32(top, _mm256_setzero_si256()));
    others = static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(done))) ^ 0xff;
  }
};

[[gnu::always_inline]] inline __m256i scaled(const float* x, __m256 reciprocal) {
  return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), reciprocal));
}

/// The mantissas of a block, as bytes.
template <bool kSigned>
[[gnu::always_inline]] inline __m256i mantissas(const float* x, float reciprocal, __m256i highest) {
  const __m256 r = _mm256_set1_ps(reciprocal);
  const __m256i low = _mm256_packs_epi32(scaled(x, r), scaled(x + 8, r));
  const __m256i high = _mm256_packs_epi32(scaled(x + 16, r), scaled(x + 24, r));
  // No number is below the lowest mantissa, but for negative ones in an unsigned format.
  const __m256i bytes = kSigned ? _mm256_min_epi8(_mm256_packs_epi16(low, high), highest)
                                : _mm256_min_epu8(_mm256_packus_epi16(low, high), highest);
  // The packs work within 128-bit lanes.
  return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

/// Sums of 8 bytes, in 64-bit lanes.
template <bool kSigned>
[[gnu::always_inline]] inline __m256i partial_sums(__m256i bytes) {
  if constexpr (kSigned) bytes = _mm256_xor_si256(bytes, _mm256_set1_epi8(-128));  // + 128
  return _mm256_sad_epu8(bytes, _mm256_setzero_si256());
}

/// The sums of 8 blocks from their partial sums.
template <bool kSigned>
[[gnu::always_inline]] inline __m256i block_sums(const __m256i (&sums)[kBlocks]) {
  __m256i four[2];  // 128-bit lane l: half l of four blocks
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    const __m256i a = _mm256_packs_epi32(sums[4 * i], sums[4 * i + 1]);
    const __m256i b = _mm256_packs_epi32(sums[4 * i + 2], sums[4 * i + 3]);
    four[i] = _mm256_madd_epi16(_mm256_packs_epi32(a, b), _mm256_set1_epi16(1));
  }
  const __m256i sum = _mm256_add_epi32(_mm256_permute2x128_si256(four[0], four[1], 0x20),
                                       _mm256_permute2x128_si256(four[0], four[1], 0x31));
  return _mm256_sub_epi32(sum, _mm256_set1_epi32(kSigned ? 32 * 128 : 0));
}

[[gnu::always_inline]] inline void store_planes(__m256i bytes, int bits, std::byte* to) {
  bytes = _mm256_sll_epi16(bytes, _mm_cvtsi32_si128(8 - bits));  // the top plane into the top bits
  for (int p = bits - 1; p >= 0; --p) {
    const int word = _mm256_movemask_epi8(bytes);
    std::memcpy(to + 4 * p, &word, 4);
    bytes = _mm256_add_epi8(bytes, bytes);
  }
}

template <bool kSigned, RowForm kForm>
void pack_integers(const Batch<kBlocks>& batch, const RowsOut& to) {
  const Steps steps(batch, to.format);
  const int bits = to.format.bits;
  const __m256i highest = _mm256_set1_epi8(static_cast<char>(to.format.highest()));
  __m256i sums[kBlocks];
#pragma GCC unroll 8
  for (int i = 0; i < kBlocks; ++i) {
    const __m256i bytes = mantissas<kSigned>(batch.from[i], steps.reciprocals[i], highest);
    sums[i] = partial_sums<kSigned>(bytes);
    if constexpr (kForm == RowForm::Bytes) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to.mantissas + 32 * batch.to[i]), bytes);
    } else {
      store_planes(bytes, bits, to.mantissas + 4 * bits * batch.to[i]);
    }
  }
  alignas(32) int32_t totals[kBlocks];
  _mm256_store_si256(reinterpret_cast<__m256i*>(totals), block_sums<kSigned>(sums));
  batch.spread(totals, to.sums);
  batch.spread(steps.values, to.steps);
  for (unsigned left = steps.others; left != 0; left &= left - 1) {
    const int i = __builtin_ctz(left);
    pack_block_reference(batch.from[i], to, batch.to[i]);
  }
}

/// 8 numbers mantissa * step; floats around 1.5 * 2^23 have no fraction bits, so adding it rounds.
[[gnu::always_inline]] inline __m256i values(const float* x, __m256 reciprocal, __m256 step, __m256 lowest,
                                             __m256 highest) {
  const __m256 round = _mm256_set1_ps(12582912.0f);
  __m256 m = _mm256_add_ps(_mm256_mul_ps(_mm256_loadu_ps(x), reciprocal), round);
  m = _mm256_sub_ps(_mm256_min_ps(_mm256_max_ps(m, lowest), highest), round);
  return _mm256_srli_epi32(_mm256_castps_si256(_mm256_mul_ps(m, step)), 16);  // the upper half is the bf16
}

void pack_bf16(const Batch<kBlocks>& batch, const RowsOut& to) {
  const Steps steps(batch, to.format);
  const __m256 lowest = _mm256_set1_ps(12582912.0f + static_cast<float>(to.format.lowest()));
  const __m256 highest = _mm256_set1_ps(12582912.0f + static_cast<float>(to.format.highest()));
  for (int i = 0; i < kBlocks; ++i) {
    const __m256 reciprocal = _mm256_set1_ps(steps.reciprocals[i]), step = _mm256_set1_ps(steps.values[i]);
    for (int half = 0; half < 2; ++half) {
      const float* x = batch.from[i] + 16 * half;
      const __m256i words = _mm256_packus_epi32(values(x, reciprocal, step, lowest, highest),
                                                values(x + 8, reciprocal, step, lowest, highest));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to.mantissas + 64 * batch.to[i] + 32 * half),
                          _mm256_permute4x64_epi64(words, 0xd8));
    }
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

bool supported() { return cpu().avx2; }

}  // namespace

const RowPacker kPackRowsAvx2 = {"avx2", "avx2", supported, pack};

}  // namespace kronbit::quant

#pragma GCC pop_options
