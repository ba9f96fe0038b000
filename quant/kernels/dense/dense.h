// Rows of FP32 numbers times an FP32 matrix, in one fixed order on every machine: the first convolution, which reads
// the image, and the linear layers of a deployed network. Training has its own products (tensor/brgemm), in other
// orders.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace kronbit::quant {

struct DenseSpec {
  int64_t rows = 0, depth = 0, panels = 0;  ///< of 16 outputs
  const float* x = nullptr;                 ///< x[r * x_pitch + k]
  int64_t x_pitch = 0;
  const float* w = nullptr;  ///< w[(panel * depth + k) * 16 + i], outputs beyond the last are zeros
  float* y = nullptr;        ///< y[r * y_pitch + 16 * panel + i]; overwritten
  int64_t y_pitch = 0;
};

/// Formula:  y[r][o] = fma(x[r][k], w[k][o], y[r][o]) for k = 0, 1, ..., starting at 0
/// Exactness: bit-identical on every variant
/// One thread, no allocation.
struct DenseKernel {
  std::string_view name, needs;
  bool (*supported)();
  void (*run)(const DenseSpec& spec);
};
/// Weights as the kernels read them, their depth tap by tap.
/// Shapes:   w [outputs][channels][taps]; returns [panel][taps * channels][16], a multiple of two panels
std::vector<float> dense_panels(const float* w, int64_t outputs, int64_t channels, int64_t taps);

std::span<const DenseKernel> dense_kernels();  ///< best first; the baseline, last, reads like the formula
const DenseKernel& best_dense_kernel();        ///< the first supported one

extern const DenseKernel kDenseAvx512, kDenseAvx2, kDenseBaseline;

}  // namespace kronbit::quant
