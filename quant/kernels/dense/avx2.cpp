#include <immintrin.h>

#include "quant/kernels/dense/dense.h"
#include "tensor/cpu.h"

#pragma GCC target("avx2,fma")

namespace kronbit::quant {
namespace {

/// Rows of one tile: their sums stay in registers, enough of them to hide the latency of a multiply-add.
constexpr int kRows = 6;

template <int Rows>
void tile(const DenseSpec& s, int64_t row, int64_t panel) {
  __m256 low[Rows], high[Rows];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) low[r] = high[r] = _mm256_setzero_ps();
  const float* x = s.x + row * s.x_pitch;
  const float* w = s.w + panel * s.depth * 16;
  for (int64_t k = 0; k < s.depth; ++k) {
    const __m256 first = _mm256_loadu_ps(w + 16 * k), second = _mm256_loadu_ps(w + 16 * k + 8);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const __m256 value = _mm256_set1_ps(x[r * s.x_pitch + k]);
      low[r] = _mm256_fmadd_ps(value, first, low[r]);
      high[r] = _mm256_fmadd_ps(value, second, high[r]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
    float* y = s.y + (row + r) * s.y_pitch + 16 * panel;
    _mm256_storeu_ps(y, low[r]);
    _mm256_storeu_ps(y + 8, high[r]);
  }
}

void run(const DenseSpec& s) {
  for (int64_t panel = 0; panel < s.panels; ++panel) {
    int64_t row = 0;
    for (; row + kRows <= s.rows; row += kRows) tile<kRows>(s, row, panel);
    for (; row + 2 <= s.rows; row += 2) tile<2>(s, row, panel);
    for (; row < s.rows; ++row) tile<1>(s, row, panel);
  }
}

}  // namespace

const DenseKernel kDenseAvx2{"avx2", "avx2 fma", [] { return cpu().avx2 && cpu().fma; }, run};

}  // namespace kronbit::quant
