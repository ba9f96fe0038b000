// Copies that bring bf16 operands of brgemm into its order. Read brgemm.h first.
#pragma once

#include <span>
#include <string_view>

#include "tensor/tensor.h"

namespace kronbit {

/// B of a product over rows: two rows side by side.
/// Formula:  to[(r / 2) * to_pair + 2 * c + r % 2] = from[r * from_row + c]; behind an odd last row comes a row of
///           zeros
/// Shapes:   from rows x columns; to round_up(rows, 2) / 2 pairs of 2 * columns
/// Requires: from and to do not overlap. Runs on the calling thread.
void pack_pairs(const bf16* from, int64_t rows, int64_t columns, int64_t from_row, bf16* to, int64_t to_pair);

/// A of a product over rows: the transpose.
/// Formula:  to[c * to_row + r] = from[r * from_row + c], and 0 for r = rows .. round_up(rows, 2) - 1
/// Shapes:   from rows x columns; to columns x round_up(rows, 2)
/// Requires: from and to do not overlap. Runs on the calling thread.
void pack_transpose(const bf16* from, int64_t rows, int64_t columns, int64_t from_row, bf16* to, int64_t to_row);

/// The two copies for one instruction set; all give the same bits.
struct PackVariant {
  using Copy = void(const bf16* from, int64_t rows, int64_t columns, int64_t from_row, bf16* to, int64_t to_stride);
  std::string_view name;  ///< "avx512"
  bool (*supported)();
  Copy *pairs, *transpose;
};
std::span<const PackVariant> pack_variants();  ///< best first; the last one is the formula

}  // namespace kronbit
