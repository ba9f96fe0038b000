#include "tensor/brgemm/pack.h"

namespace kronbit {

void pack_pairs(const bf16* from, int64_t rows, int64_t columns, int64_t from_row, bf16* to, int64_t to_pair) {
  for (int64_t r = 0; r < round_up(rows, 2); ++r) {
    for (int64_t c = 0; c < columns; ++c)
      to[r / 2 * to_pair + 2 * c + r % 2] = r < rows ? from[r * from_row + c] : bf16();
  }
}

void pack_transpose(const bf16* from, int64_t rows, int64_t columns, int64_t from_row, bf16* to, int64_t to_row) {
  for (int64_t c = 0; c < columns; ++c) {
    for (int64_t r = 0; r < round_up(rows, 2); ++r) to[c * to_row + r] = r < rows ? from[r * from_row + c] : bf16();
  }
}

}  // namespace kronbit
