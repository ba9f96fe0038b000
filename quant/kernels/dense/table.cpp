#include <array>
#include <cmath>

#include "quant/kernels/dense/dense.h"
#include "tensor/variants.h"

namespace kronbit::quant {
namespace {

void run(const DenseSpec& s) {
  for (int64_t r = 0; r < s.rows; ++r) {
    for (int64_t o = 0; o < 16 * s.panels; ++o) {
      float sum = 0;
      for (int64_t k = 0; k < s.depth; ++k)
        sum = std::fma(s.x[r * s.x_pitch + k], s.w[(o / 16 * s.depth + k) * 16 + o % 16], sum);
      s.y[r * s.y_pitch + o] = sum;
    }
  }
}

}  // namespace

const DenseKernel kDenseBaseline{"baseline", "", [] { return true; }, run};

std::span<const DenseKernel> dense_kernels() {
  static const std::array<DenseKernel, 3> list = {kDenseAvx512, kDenseAvx2, kDenseBaseline};
  return list;
}

const DenseKernel& best_dense_kernel() { return first_supported(dense_kernels()); }

}  // namespace kronbit::quant
