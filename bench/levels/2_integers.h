// Level 2, integers: inside a block of 32 channels the scales are common factors, so they are applied once, to the sum
// of the products of the integers. That sum is exact, and may be taken in any order: the compiler is free to use the
// integer vectors of the baseline, which it must not do for floats. 8 bits are read of each number.
#pragma once

#include "bench/levels/layer.h"

namespace kronbit::levels {

inline void integers(const Layer& layer, float* y) {
  for (int64_t r = 0; r < kRows; ++r) {
    for (int64_t o = 0; o < kOutputs; ++o) {
      float sum = 0;
      for (int64_t t = 0; t < kTaps; ++t) {
        for (int64_t k = 0; k < kBlocks; ++k) {
          const int64_t wk = weight_block(o, t, k), xk = input_block(r + t, k);
          const int8_t* q = layer.integers.integers.data() + 32 * wk;
          const uint8_t* m = layer.mantissas.data() + 32 * xk;
          int32_t dot = 0;
          for (int i = 0; i < 32; ++i) dot += q[i] * m[i];
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
