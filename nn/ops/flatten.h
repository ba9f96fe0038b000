// All pixels and channels of an image in one row, in PyTorch's order.
#pragma once

#include "nn/network.h"

namespace kronbit::nn {

/// Formula:  y[n][(c H + h) W + w] = x[h][w][n][c]
/// Shapes:   x [H][W][N][C], y [1][1][N][C*H*W], f32, f64 or bf16
Tensor flatten_forward(const Tensor& x);
/// Formula:  dx[h][w][n][c] = dy[n][(c H + h) W + w]
Tensor flatten_backward(const Tensor& dy, const Shape& x_shape);

Var flatten(const Var& x);

class Flatten : public Op {
 public:
  std::string_view kind() const override { return "flatten"; }
  Shape output_shape(std::span<const Shape> inputs) const override;
  bool non_negative(std::span<const bool> inputs) const override { return inputs[0]; }
  Var apply(std::span<const Var> inputs, std::span<Var>, const RunContext&) const override {
    return flatten(inputs[0]);
  }
};

}  // namespace kronbit::nn
