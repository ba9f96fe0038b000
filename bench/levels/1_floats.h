// Level 1, floats: quantized weights and activations are numbers like any others.
// One multiplication and one addition per weight; 32 bits are read of each.
// The definition: every level after it must give the same y.
#pragma once

#include "bench/levels/layer.h"

namespace kronbit::levels {

inline void floats(const Layer& layer, float* y) {
  for (int64_t r = 0; r < kRows; ++r) {
    for (int64_t o = 0; o < kOutputs; ++o) {
      float sum = 0;
      for (int64_t t = 0; t < kTaps; ++t) {
        const float* w = layer.weights.data() + (o * kTaps + t) * kChannels;
        const float* x = layer.inputs.data() + (r + t) * kChannels;
        for (int64_t c = 0; c < kChannels; ++c) sum += w[c] * x[c];
      }
      y[r * kOutputs + o] = sum;
    }
  }
}

}  // namespace kronbit::levels
