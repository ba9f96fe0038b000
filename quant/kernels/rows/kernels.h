// What the row packers share: one block as the formula is written, and the order in which blocks are taken.
// Private to quant/; the contract is quant/kernels/rows.h.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "quant/kernels/rows.h"

namespace kronbit::quant {

/// One block of 32 numbers; `index` counts the blocks of `to`: row * to.blocks + block.
void pack_block_reference(const float* x, const RowsOut& to, int64_t index);

namespace {

/// `count` blocks that are worked on together: where they are read from, and which blocks of the output they are. Where
/// there are fewer than kBlocks, the others repeat the first: their work is done once more.
template <int kBlocks>
struct Batch {
  const float* from[kBlocks];
  int64_t to[kBlocks];
  int count = 0;

  void fill_up() {
    std::fill(from + count, from + kBlocks, from[0]);
    std::fill(to + count, to + kBlocks, to[0]);
  }
  bool in_a_row() const { return count == kBlocks && to[kBlocks - 1] - to[0] == kBlocks - 1; }
  /// The numbers of the blocks, to where the output keeps them.
  template <class T>
  void spread(const T* values, T* all) const {
    if (in_a_row()) {
      std::memcpy(all + to[0], values, kBlocks * sizeof(T));
    } else {
      for (int i = 0; i < count; ++i) all[to[i]] = values[i];
    }
  }
};

/// Calls work(batch) for all blocks, row by row, at most kBlocks at a time.
template <int kBlocks, class Work>
void for_each_batch(const float* x, int64_t pitch, int64_t rows, int64_t blocks, const RowsOut& to, int64_t first_row,
                    int64_t first_block, const Work& work) {
  Batch<kBlocks> batch;
  int64_t first = first_row * to.blocks + first_block;  // of the row
  if (pitch == 32 * blocks && blocks == to.blocks) {    // rows without gaps are one long row
    blocks *= rows;
    rows = std::min<int64_t>(rows, 1);
  }
  for (int64_t r = 0; r < rows; ++r, x += pitch, first += to.blocks) {
    for (int64_t k = 0; k < blocks;) {
      const int n = static_cast<int>(std::min<int64_t>(kBlocks - batch.count, blocks - k));
      for (int i = 0; i < n; ++i, ++k) {
        batch.from[batch.count + i] = x + 32 * k;
        batch.to[batch.count + i] = first + k;
      }
      batch.count += n;
      if (batch.count < kBlocks) break;  // the row has ended
      work(batch);
      batch.count = 0;
    }
  }
  if (batch.count == 0) return;
  batch.fill_up();
  work(batch);
}

}  // namespace
}  // namespace kronbit::quant
