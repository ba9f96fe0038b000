// Loops over rows of channels: the arithmetic of every operator that is not a product of matrices. A call takes a range
// of rows and runs on the calling thread, so a convolution can work on rows that are still in its cache.
// One source (kernels.inc) is compiled for every instruction set; table.cpp chooses.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

#include "tensor/tensor.h"

namespace kronbit {

/// The numbers a type is calculated in: bf16 is a storage format of float.
template <class T>
using Arithmetic = std::conditional_t<std::is_same_v<T, double>, double, float>;

/// Rows of equal length in memory, the same for all operands of a call.
/// Units:    numbers. Requires: lanes a multiple of 16, lanes <= pitch
struct RowRange {
  int64_t rows = 0;
  int64_t lanes = 0;  ///< numbers to work on in every row
  int64_t pitch = 0;  ///< from one row to the next
};

/// One number per lane each. Zeros in the padding lanes keep them zero.
template <class A>
struct NormalizeCoefficients {
  const A *mean, *scale, *shift;
};
template <class A>
struct NormalizeBackwardCoefficients {
  const A *mean, *a, *b, *d;
};

/// Marks a window whose maximum is NaN in the indices of argmax.
inline constexpr uint16_t kNoIndex = 0xffff;

/// The loops for numbers stored as T (float, bf16, double). Results are calculated as Arithmetic<T>, without fused
/// multiply-adds, and rounded once.
/// Requires: outputs overlap inputs only where a line says so, and then exactly
/// Exactness: bit-identical on every variant
template <class T>
struct RowKernels {
  using A = Arithmetic<T>;

  /// Formula:  sum[c] += sum over the rows of x - centre; squares[c] += sum over the rows of (x - centre)^2
  /// Exactness: at most 68 terms (four at a time) are summed as A one after another and then added to the doubles:
  ///           error <= 2^-18 of the sum of absolute terms for float. A variance calculated from the sums loses a
  ///           factor of 1 + (mean - centre)^2 / variance, so centre should be near the mean.
  void (*add_moments)(const RowRange& range, const T* x, const A* centre, double* sum, double* squares);
  /// Formula:  z = (y - mean) * scale + shift [+ residual]; with relu z <= 0 ? 0 : z (NaN passes)
  /// z may be y or residual (null: none).
  void (*normalize)(const RowRange& range, const T* y, const NormalizeCoefficients<A>& with, const T* residual,
                    bool relu, T* z);
  /// Formula:  g = dz, with a mask (not null) mask <= 0 ? 0 : dz;
  ///           sum[c] += sum of g; products[c] += sum of g (y - mean)
  /// Exactness: as add_moments
  void (*add_gradient_moments)(const RowRange& range, const T* dz, const T* mask, const T* y, const A* mean,
                               double* sum, double* products);
  /// Formula:  g as above; dy = a g + (b (y - mean) + d); residual = g unless null
  /// dy may be dz; residual may be dz if dy is not.
  void (*normalize_backward)(const RowRange& range, const T* dz, const T* mask, const T* y,
                             const NormalizeBackwardCoefficients<A>& with, T* dy, T* residual);

  // Runs of n numbers, n >= 0.
  /// y = a + b; y may be a or b.
  void (*add)(int64_t n, const T* a, const T* b, T* y);
  /// y = x <= 0 ? 0 : x: NaN passes; y may be x.
  void (*relu)(int64_t n, const T* x, T* y);
  /// dx = y <= 0 ? 0 : dy; dx may be dy.
  void (*relu_backward)(int64_t n, const T* dy, const T* y, T* dx);
  /// sum += factor * x
  void (*add_scaled)(int64_t n, A factor, const T* x, A* sum);
  /// y = factor * sum
  void (*store_scaled)(int64_t n, A factor, const A* sum, T* y);

  // Windows of `count` runs in[0..count), 1 <= count < kNoIndex.
  /// y = max over k of in[k]; NaN if one of them is.
  void (*max)(int64_t n, const T* const* in, int64_t count, T* y);
  /// The first k whose in[k] is the maximum; kNoIndex where that is NaN.
  void (*argmax)(int64_t n, const T* const* in, int64_t count, uint16_t* index);
  /// dx = index == k ? dy : 0
  void (*select)(int64_t n, const T* dy, const uint16_t* index, uint16_t k, T* dx);
  /// sum += index == k ? dy : 0
  void (*add_selected)(int64_t n, const T* dy, const uint16_t* index, uint16_t k, A* sum);
};

/// Numbers of one step of an optimiser; formulas in nn/optim.h.
struct SgdStep {
  float lr, momentum, decay;
  bool nesterov;
};
struct AdamStep {
  float size;  ///< lr / (1 - beta1^t)
  float root;  ///< sqrt(1 - beta2^t)
  float rest1, beta2, rest2, eps, decay;
};

/// Runs of n floats, n >= 0. Exactness: bit-identical on every variant
struct FloatKernels {
  /// p and, unless null, velocity are updated.
  void (*sgd)(int64_t n, const SgdStep& step, const float* gradient, float* p, float* velocity);
  void (*adam)(int64_t n, const AdamStep& step, const float* gradient, float* p, float* first, float* second);
  /// In double.
  double (*sum_of_squares)(int64_t n, const float* x);
  /// x *= factor
  void (*scale)(int64_t n, float factor, float* x);
  void (*to_bf16)(int64_t n, const float* x, bf16* y);
  void (*to_float)(int64_t n, const bf16* x, float* y);
};

/// One row of the table of variants.
struct RowVariant {
  std::string_view name;   ///< "avx512"
  std::string_view needs;  ///< CPU features, for people
  bool (*supported)();     ///< CPU and OS allow it
  const RowKernels<float>* f32;
  const RowKernels<bf16>* b16;
  const FloatKernels* floats;
};
std::span<const RowVariant> row_variants();  ///< best first

/// The loops of the best variant this processor supports now; for double always the plain ones.
template <class T>
const RowKernels<T>& row_kernels();
const FloatKernels& float_kernels();

}  // namespace kronbit
