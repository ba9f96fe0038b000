// Level 6, registers: an addition to y waits for the one before it, so one sum at a time leaves the processor idle.
// Here 16 sums, of 4 rows by 4 vectors of outputs, go side by side: what is loaded of the weights serves 4 rows, what
// is broadcast of the inputs 4 vectors. The kernel of the library is this one, for any shape and number of bits.
#pragma once

#include "bench/levels/5_vectors.h"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vnni,avx512bitalg")

namespace kronbit::levels {

template <int Bits>
inline void registers(const Layer& layer, float* y) {
  constexpr int kBlockBytes = 64 * (Bits + 1), kPanelBytes = kTaps * kBlocks * kBlockBytes;  // a panel: 16 outputs
  static_assert(kRows % 4 == 0 && kOutputs == 64);
  for (int64_t r = 0; r < kRows; r += 4) {
    __m512 sum[4][4];
    for (auto& row : sum) row[0] = row[1] = row[2] = row[3] = _mm512_setzero_ps();
    const std::byte* w = layer.packed.data()->bytes;
    for (int64_t t = 0; t < kTaps; ++t) {
      for (int64_t k = 0; k < kBlocks; ++k, w += kBlockBytes) {
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) {
#pragma GCC unroll 4
          for (int v = 0; v < 4; ++v)
            sum[i][v] = add_block<Bits>(sum[i][v], layer, w + v * kPanelBytes, input_block(r + i + t, k));
        }
      }
    }
    for (int i = 0; i < 4; ++i) {
      for (int v = 0; v < 4; ++v) _mm512_storeu_ps(y + (r + i) * kOutputs + 16 * v, sum[i][v]);
    }
  }
}

}  // namespace kronbit::levels

#pragma GCC pop_options
