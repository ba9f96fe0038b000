// The linear layer: y = x W^T + b.
#pragma once

#include "nn/network.h"

namespace kronbit::nn {

/// Formula:  y = x * w^T + b
/// Shapes:   x [1][1][N][C]; w [O, C]; b [O]; returns y [1][1][N][O]; f32 or f64, one type for all, but x may be bf16
///           beside f32
/// Throws:   InputError if a shape does not fit
Tensor linear_forward(const Tensor& x, const Tensor& w, const Tensor& b);

struct LinearGradients {
  Tensor dx;  ///< dy * w
  Tensor dw;  ///< dy^T * x
  Tensor db;  ///< sum of dy over the images
};
/// Shapes:   dy [1][1][N][O] of w's type; dx, dw, db as x, w, b
LinearGradients linear_backward(const Tensor& dy, const Tensor& x, const Tensor& w);

Var linear(const Var& x, const Var& w, const Var& b);

class Linear : public Op {
 public:
  Linear(int64_t in_channels, int64_t out_channels);
  int64_t in_channels() const { return in_; }
  int64_t out_channels() const { return out_; }
  std::string_view kind() const override { return "linear"; }
  std::string describe() const override;
  Shape output_shape(std::span<const Shape> inputs) const override;
  std::vector<ParameterSpec> parameters() const override;
  Var apply(std::span<const Var> inputs, std::span<Var> parameters, const RunContext& context) const override;

 private:
  int64_t in_, out_;
};

}  // namespace kronbit::nn
