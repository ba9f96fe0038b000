// Channels of several values side by side.
#pragma once

#include "nn/network.h"

namespace kronbit::nn {

/// Formula:  y[.., first_i + c] = x_i[.., c], first_i = channels of the inputs before x_i
/// Shapes:   x_i [H][W][N][C_i], y [H][W][N][sum C_i], f32, f64 or bf16; y has its own padding, the inputs' is dropped
Tensor concat_forward(std::span<const Tensor> inputs);
/// The slice of dy that belongs to an input: channels first .. first + channels.
Tensor concat_backward(const Tensor& dy, int64_t first, int64_t channels);

Var concat(std::span<const Var> inputs);

class Concat : public Op {
 public:
  std::string_view kind() const override { return "concat"; }
  Shape output_shape(std::span<const Shape> inputs) const override;
  bool non_negative(std::span<const bool> inputs) const override;
  Var apply(std::span<const Var> inputs, std::span<Var>, const RunContext&) const override { return concat(inputs); }
};

}  // namespace kronbit::nn
