// The packings by the formula and in 128-bit vectors, which every x86-64 has; the choice among all of them.
#include "tensor/brgemm/pack.h"

#include <emmintrin.h>

#include "tensor/brgemm/variants.h"
#include "tensor/cpu.h"

namespace kronbit {
namespace {

void pairs_by_formula(const bf16* from, int64_t rows, int64_t columns, int64_t from_row, bf16* to, int64_t to_pair) {
  for (int64_t r = 0; r < round_up(rows, 2); ++r) {
    for (int64_t c = 0; c < columns; ++c)
      to[r / 2 * to_pair + 2 * c + r % 2] = r < rows ? from[r * from_row + c] : bf16();
  }
}

void transpose_by_formula(const bf16* from, int64_t rows, int64_t columns, int64_t from_row, bf16* to, int64_t to_row) {
  for (int64_t c = 0; c < columns; ++c) {
    for (int64_t r = 0; r < round_up(rows, 2); ++r) to[c * to_row + r] = r < rows ? from[r * from_row + c] : bf16();
  }
}

constexpr int64_t kLanes = 8;
__m128i load(const bf16* from) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)); }
void store(bf16* to, __m128i v) { _mm_storeu_si128(reinterpret_cast<__m128i*>(to), v); }

void pairs_sse2(const bf16* from, int64_t rows, int64_t columns, int64_t from_row, bf16* to, int64_t to_pair) {
  const int64_t whole = columns / kLanes * kLanes;
  for (int64_t r = 0; r + 1 < rows; r += 2) {
    const bf16* first = from + r * from_row;
    bf16* out = to + r / 2 * to_pair;
    for (int64_t c = 0; c < whole; c += kLanes) {
      const __m128i upper = load(first + c), lower = load(first + from_row + c);
      store(out + 2 * c, _mm_unpacklo_epi16(upper, lower));
      store(out + 2 * c + kLanes, _mm_unpackhi_epi16(upper, lower));
    }
  }
  const int64_t even = rows / 2 * 2;
  pairs_by_formula(from + whole, even, columns - whole, from_row, to + 2 * whole, to_pair);
  pairs_by_formula(from + even * from_row, rows - even, columns, from_row, to + even / 2 * to_pair, to_pair);
}

/// 8 x 8 numbers: merging rows i and i + 4 three times leaves the columns.
void transpose_block(const bf16* from, int64_t from_row, bf16* to, int64_t to_row) {
  __m128i v[kLanes], merged[kLanes];
#pragma GCC unroll 8
  for (int64_t r = 0; r < kLanes; ++r) v[r] = load(from + r * from_row);
#pragma GCC unroll 3
  for (int step = 0; step < 3; ++step) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      merged[2 * i] = _mm_unpacklo_epi16(v[i], v[i + 4]);
      merged[2 * i + 1] = _mm_unpackhi_epi16(v[i], v[i + 4]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < kLanes; ++i) v[i] = merged[i];
  }
#pragma GCC unroll 8
  for (int64_t c = 0; c < kLanes; ++c) store(to + c * to_row, v[c]);
}

void transpose_sse2(const bf16* from, int64_t rows, int64_t columns, int64_t from_row, bf16* to, int64_t to_row) {
  const int64_t whole_rows = rows / kLanes * kLanes, whole = columns / kLanes * kLanes;
  for (int64_t c = 0; c < whole; c += kLanes) {
    for (int64_t r = 0; r < whole_rows; r += kLanes)
      transpose_block(from + r * from_row + c, from_row, to + c * to_row + r, to_row);
  }
  transpose_by_formula(from + whole, whole_rows, columns - whole, from_row, to + whole * to_row, to_row);
  transpose_by_formula(from + whole_rows * from_row, rows - whole_rows, columns, from_row, to + whole_rows, to_row);
}

bool always() { return true; }
bool has_avx512bw() { return cpu().avx512bw && cpu().avx512vl; }

constexpr PackVariant kVariants[] = {
    {"avx512", has_avx512bw, pack_pairs_avx512, pack_transpose_avx512},
    {"sse2", always, pairs_sse2, transpose_sse2},
    {"formula", always, pairs_by_formula, transpose_by_formula},
};

const PackVariant& best() { return kVariants[has_avx512bw() ? 0 : 1]; }

}  // namespace

std::span<const PackVariant> pack_variants() { return kVariants; }

void pack_pairs(const bf16* from, int64_t rows, int64_t columns, int64_t from_row, bf16* to, int64_t to_pair) {
  best().pairs(from, rows, columns, from_row, to, to_pair);
}
void pack_transpose(const bf16* from, int64_t rows, int64_t columns, int64_t from_row, bf16* to, int64_t to_row) {
  best().transpose(from, rows, columns, from_row, to, to_row);
}

}  // namespace kronbit
