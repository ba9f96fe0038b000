// Level 3, planes: a number is the sum of its bits, a product of two numbers the sum over pairs of their bits, and a
// product of two bits is AND. Bit i of all 32 weights of a block is one word, a plane; so is bit j of the activations.
// Slow as it stands, one bit at a time: but b bits are read of each number, and the next level takes 32 at once.
#pragma once

#include "bench/levels/layer.h"

namespace kronbit::levels {

inline void planes(const Layer& layer, float* y) {
  const int bits = layer.bits;
  for (int64_t r = 0; r < kRows; ++r) {
    for (int64_t o = 0; o < kOutputs; ++o) {
      float sum = 0;
      for (int64_t t = 0; t < kTaps; ++t) {
        for (int64_t k = 0; k < kBlocks; ++k) {
          const int64_t wk = weight_block(o, t, k), xk = input_block(r + t, k);
          const uint32_t* w = layer.weight_words.data() + wk * bits;
          const uint32_t* x = layer.input_words.data() + xk * bits;
          // A binary weight is 1 - 2 * bit: the sum of the activations, less twice those where the bit is set.
          int32_t dot = layer.products.add_sums ? layer.sums[static_cast<size_t>(xk)] : 0;
          for (int i = 0; i < bits; ++i) {
            for (int j = 0; j < bits; ++j) {
              for (int l = 0; l < 32; ++l) dot += layer.value(i, j) * static_cast<int>(w[i] >> l & x[j] >> l & 1);
            }
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
