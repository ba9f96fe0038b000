// A scale and a shift per channel: what is left of a batch normalisation once its statistics are constants.
#pragma once

#include "nn/network.h"

namespace kronbit::nn {

/// Formula:  y = x * scale[c] + shift[c]
/// Shapes:   x, y [H][W][N][C], f32, f64 or bf16; scale, shift [C], f32 for bf16
Tensor channel_affine_forward(const Tensor& x, const Tensor& scale, const Tensor& shift);

struct ChannelAffineGradients {
  Tensor dx, dscale, dshift;
};
/// Formula:  dx = dy * scale[c]; dscale = sum dy x; dshift = sum dy
ChannelAffineGradients channel_affine_backward(const Tensor& dy, const Tensor& x, const Tensor& scale);

Var channel_affine(const Var& x, const Var& scale, const Var& shift);

/// Parameters: scale, shift, [C] each.
class ChannelAffine : public Op {
 public:
  explicit ChannelAffine(int64_t channels);
  std::string_view kind() const override { return "channel_affine"; }
  std::string describe() const override;
  Shape output_shape(std::span<const Shape> inputs) const override;
  std::vector<ParameterSpec> parameters() const override;
  Var apply(std::span<const Var> inputs, std::span<Var> parameters, const RunContext& context) const override;
  int64_t channels() const { return channels_; }

 private:
  int64_t channels_;
};

}  // namespace kronbit::nn
