// Rectified linear unit.
#pragma once

#include "nn/network.h"

namespace kronbit::nn {

/// Formula:  y = x <= 0 ? 0 : x, so that NaN passes
/// Shapes:   x, y any equal shape and pitch; f32, f64 or bf16
Tensor relu_forward(const Tensor& x);
/// Formula:  dx = y <= 0 ? 0 : dy
Tensor relu_backward(const Tensor& dy, const Tensor& y);

Var relu(const Var& x);

class Relu : public Op {
 public:
  std::string_view kind() const override { return "relu"; }
  Shape output_shape(std::span<const Shape> inputs) const override { return inputs[0]; }
  bool non_negative(std::span<const bool>) const override { return true; }
  Var apply(std::span<const Var> inputs, std::span<Var>, const RunContext&) const override { return relu(inputs[0]); }
};

}  // namespace kronbit::nn
