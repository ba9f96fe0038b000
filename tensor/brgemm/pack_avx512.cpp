// The packings of pack.h for AVX-512 (BW and VL).
#include <immintrin.h>

#include <algorithm>

#include "tensor/brgemm/variants.h"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl")
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // false for the intrinsics of GCC 12 (its bug 105593)

namespace kronbit {
namespace {

constexpr int64_t kPairs = 16;               // numbers of one row that fill one vector together with another row
constexpr int64_t kRows = 32, kColumns = 8;  // of a block to transpose: each column fills one vector
constexpr int64_t kLaneRows = kRows / 4;     // rows of it that share a 128-bit lane

/// One number of `upper` and of `lower` after the other.
void store_pairs(const bf16* upper, const bf16* lower, __mmask16 mask, bf16* to) {
  const __m512i first = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, upper));
  const __m512i second = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, lower));
  _mm512_mask_storeu_epi32(to, mask, _mm512_or_si512(first, _mm512_slli_epi32(second, 16)));
}

/// A block of 32 rows x 8 columns (fewer if Part: the rest counts as zero and only `rows` rounded up to even and
/// `columns` are written). Lane l of vector i holds row i + 8 l; merging rows i and i + 4 of all lanes three times
/// leaves the columns, each in order over the four lanes.
template <bool Part>
void transpose_block(const bf16* from, int64_t rows, int64_t columns, int64_t from_row, bf16* to, int64_t to_row) {
  const auto mask = static_cast<__mmask8>(Part ? (1u << columns) - 1u : 0xffu);
  const auto load = [&](int64_t r) {
    if constexpr (!Part) return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + r * from_row));
    return r < rows ? _mm_maskz_loadu_epi16(mask, from + r * from_row) : _mm_setzero_si128();
  };
  __m512i v[kLaneRows], merged[kLaneRows];
#pragma GCC unroll 8
  for (int64_t i = 0; i < kLaneRows; ++i) {
    v[i] = _mm512_castsi128_si512(load(i));
    v[i] = _mm512_inserti32x4(v[i], load(i + kLaneRows), 1);
    v[i] = _mm512_inserti32x4(v[i], load(i + 2 * kLaneRows), 2);
    v[i] = _mm512_inserti32x4(v[i], load(i + 3 * kLaneRows), 3);
  }
#pragma GCC unroll 3
  for (int step = 0; step < 3; ++step) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      merged[2 * i] = _mm512_unpacklo_epi16(v[i], v[i + 4]);
      merged[2 * i + 1] = _mm512_unpackhi_epi16(v[i], v[i + 4]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < kLaneRows; ++i) v[i] = merged[i];
  }
  const auto written = static_cast<__mmask32>((uint64_t{1} << round_up(rows, 2)) - 1u);
#pragma GCC unroll 8
  for (int64_t c = 0; c < kColumns; ++c) {
    if (!Part) {
      _mm512_storeu_si512(to + c * to_row, v[c]);
    } else if (c < columns) {
      _mm512_mask_storeu_epi16(to + c * to_row, written, v[c]);
    }
  }
}

}  // namespace

void pack_pairs_avx512(const bf16* from, int64_t rows, int64_t columns, int64_t from_row, bf16* to, int64_t to_pair) {
  const int64_t whole = columns / kPairs * kPairs;
  const auto tail = static_cast<__mmask16>((1u << (columns - whole)) - 1u);
  for (int64_t r = 0; r < rows; r += 2) {
    const bf16 *upper = from + r * from_row, *lower = r + 1 < rows ? upper + from_row : nullptr;
    bf16* out = to + r / 2 * to_pair;
    if (lower == nullptr) {
      for (int64_t c = 0; c < columns; c += kPairs) {
        const auto mask = c < whole ? static_cast<__mmask16>(0xffff) : tail;
        _mm512_mask_storeu_epi32(out + 2 * c, mask, _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, upper + c)));
      }
      continue;
    }
    for (int64_t c = 0; c < whole; c += kPairs) store_pairs(upper + c, lower + c, 0xffff, out + 2 * c);
    if (tail) store_pairs(upper + whole, lower + whole, tail, out + 2 * whole);
  }
}

void pack_transpose_avx512(const bf16* from, int64_t rows, int64_t columns, int64_t from_row, bf16* to,
                           int64_t to_row) {
  for (int64_t r = 0; r < rows; r += kRows) {
    for (int64_t c = 0; c < columns; c += kColumns) {
      const int64_t block_rows = std::min(kRows, rows - r), block_columns = std::min(kColumns, columns - c);
      const bool whole = block_rows == kRows && block_columns == kColumns;
      (whole ? transpose_block<false> : transpose_block<true>)(from + r * from_row + c, block_rows, block_columns,
                                                               from_row, to + c * to_row + r, to_row);
    }
  }
}

}  // namespace kronbit

#pragma GCC pop_options
