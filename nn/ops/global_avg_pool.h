// Mean over the whole map.
#pragma once

#include "nn/network.h"

namespace kronbit::nn {

/// Formula:  y = sum over pixels of x / (H W)
/// Shapes:   x [H][W][N][C], y [1][1][N][C], f32, f64 or bf16 (summed in f32)
Tensor global_avg_pool_forward(const Tensor& x);
/// Formula:  dx = dy / (H W) at every pixel
Tensor global_avg_pool_backward(const Tensor& dy, const Shape& x_shape);

Var global_avg_pool(const Var& x);

class GlobalAvgPool : public Op {
 public:
  std::string_view kind() const override { return "global_avg_pool"; }
  Shape output_shape(std::span<const Shape> inputs) const override;
  bool non_negative(std::span<const bool> inputs) const override { return inputs[0]; }
  Var apply(std::span<const Var> inputs, std::span<Var>, const RunContext&) const override {
    return global_avg_pool(inputs[0]);
  }
};

}  // namespace kronbit::nn
