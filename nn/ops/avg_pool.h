// Mean over square windows.
#pragma once

#include "nn/ops/pool.h"

namespace kronbit::nn {

/// Formula:  y[i,j] = (sum of x over the window of (i, j)) / n; n = elements inside the image, and those in the padding
///           (but not beyond it) with count_include_pad
/// Shapes:   x [H][W][N][C], y [H'][W'][N][C] (pool_output_shape), f32, f64 or bf16 (summed in f32)
Tensor avg_pool_forward(const Tensor& x, const PoolOptions& options);
/// Formula:  dx = sum over the windows that hold the element of dy / n
/// Shapes:   dy [H'][W'][N][C]; dx as x_shape [H, W, N, C]
Tensor avg_pool_backward(const Tensor& dy, const Shape& x_shape, const PoolOptions& options);

Var avg_pool(const Var& x, const PoolOptions& options);

class AvgPool : public Op {
 public:
  explicit AvgPool(const PoolOptions& options);
  std::string_view kind() const override { return "avg_pool"; }
  std::string describe() const override { return describe_pool(options_); }
  Shape output_shape(std::span<const Shape> inputs) const override;
  bool non_negative(std::span<const bool> inputs) const override { return inputs[0]; }
  Var apply(std::span<const Var> inputs, std::span<Var>, const RunContext&) const override {
    return avg_pool(inputs[0], options_);
  }
  const PoolOptions& options() const { return options_; }

 private:
  PoolOptions options_;
};

}  // namespace kronbit::nn
