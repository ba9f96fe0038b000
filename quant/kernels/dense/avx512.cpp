#include <immintrin.h>

#include "quant/kernels/dense/dense.h"
#include "tensor/cpu.h"

#pragma GCC target("avx512f")

namespace kronbit::quant {
namespace {

/// Rows of one tile: their sums stay in registers, enough of them to hide the latency of a multiply-add.
constexpr int kRows = 12;

template <int Rows>
void tile(const DenseSpec& s, int64_t row, int64_t panel) {
  __m512 sum[Rows];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) sum[r] = _mm512_setzero_ps();
  const float* x = s.x + row * s.x_pitch;
  const float* w = s.w + panel * s.depth * 16;
  for (int64_t k = 0; k < s.depth; ++k) {
    const __m512 weights = _mm512_loadu_ps(w + 16 * k);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) sum[r] = _mm512_fmadd_ps(_mm512_set1_ps(x[r * s.x_pitch + k]), weights, sum[r]);
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) _mm512_storeu_ps(s.y + (row + r) * s.y_pitch + 16 * panel, sum[r]);
}

void run(const DenseSpec& s) {
  for (int64_t panel = 0; panel < s.panels; ++panel) {
    int64_t row = 0;
    for (; row + kRows <= s.rows; row += kRows) tile<kRows>(s, row, panel);
    for (; row + 4 <= s.rows; row += 4) tile<4>(s, row, panel);
    for (; row < s.rows; ++row) tile<1>(s, row, panel);
  }
}

}  // namespace

const DenseKernel kDenseAvx512{"avx512", "avx512f", [] { return cpu().avx512f; }, run};

}  // namespace kronbit::quant
