// Level 4, words: the sum of the 32 products of two planes is the number of bits set in the AND of two words, and
// processors count the bits of a word in one instruction. Two instructions do 32 multiply-adds of single bits.
// (It counts 64 bits as well, but a block with its own scale has 32.)
#pragma once

#include <nmmintrin.h>

#include "bench/levels/layer.h"

namespace kronbit::levels {

__attribute__((target("popcnt"))) inline void words(const Layer& layer, float* y) {
  const int bits = layer.bits;
  for (int64_t r = 0; r < kRows; ++r) {
    for (int64_t o = 0; o < kOutputs; ++o) {
      float sum = 0;
      for (int64_t t = 0; t < kTaps; ++t) {
        for (int64_t k = 0; k < kBlocks; ++k) {
          const int64_t wk = weight_block(o, t, k), xk = input_block(r + t, k);
          const uint32_t* w = layer.weight_words.data() + wk * bits;
          const uint32_t* x = layer.input_words.data() + xk * bits;
          int32_t dot = layer.products.add_sums ? layer.sums[static_cast<size_t>(xk)] : 0;
          for (int i = 0; i < bits; ++i) {
            for (int j = 0; j < bits; ++j) dot += layer.value(i, j) * _mm_popcnt_u32(w[i] & x[j]);
          }
          const float scale =
              layer.integers.multipliers[static_cast<size_t>(wk)] * layer.steps[static_cast<size_t>(xk)];
          sum += static_cast<float>(dot) * scale;
        }
      }
      y[r * kOutputs + o] = sum;
    }
  }
}

}  // namespace kronbit::levels
