// Maximum over square windows.
#pragma once

#include "nn/ops/pool.h"

namespace kronbit::nn {

/// Formula:  y[i,j] = max of x over the window of (i, j); padding never wins; NaN does
/// Shapes:   x [H][W][N][C], y [H'][W'][N][C] (pool_output_shape), f32, f64 or bf16
Tensor max_pool_forward(const Tensor& x, const PoolOptions& options);
/// Gives dy to the first (in row order) element of each window that equals the maximum; dy is lost if that is NaN.
/// Exactness: where windows overlap the shares are summed in f32 (f64) and rounded once
Tensor max_pool_backward(const Tensor& dy, const Tensor& x, const PoolOptions& options);

Var max_pool(const Var& x, const PoolOptions& options);

class MaxPool : public Op {
 public:
  explicit MaxPool(const PoolOptions& options);
  std::string_view kind() const override { return "max_pool"; }
  std::string describe() const override { return describe_pool(options_); }
  Shape output_shape(std::span<const Shape> inputs) const override;
  bool non_negative(std::span<const bool> inputs) const override { return inputs[0]; }
  Var apply(std::span<const Var> inputs, std::span<Var>, const RunContext&) const override {
    return max_pool(inputs[0], options_);
  }
  const PoolOptions& options() const { return options_; }

 private:
  PoolOptions options_;
};

}  // namespace kronbit::nn
