// Sum of two values of one shape: the end of a residual block.
#pragma once

#include "nn/network.h"

namespace kronbit::nn {

/// Formula:  y = a + b (its gradient is dy for both)
/// Shapes:   a, b, y equal shapes and pitches; f32, f64 or bf16
Tensor add_forward(const Tensor& a, const Tensor& b);

Var add(const Var& a, const Var& b);

class Add : public Op {
 public:
  std::string_view kind() const override { return "add"; }
  Shape output_shape(std::span<const Shape> inputs) const override;
  bool non_negative(std::span<const bool> inputs) const override { return inputs[0] && inputs[1]; }
  Var apply(std::span<const Var> inputs, std::span<Var>, const RunContext&) const override {
    return add(inputs[0], inputs[1]);
  }
};

}  // namespace kronbit::nn
