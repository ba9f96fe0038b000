// The shortcut without parameters of the CIFAR ResNets: every stride-th pixel, and zero channels around the old ones.
#pragma once

#include "nn/network.h"

namespace kronbit::nn {

/// Formula:  y[i][j][n][(O - C) / 2 + c] = x[stride i][stride j][n][c], zero in all other channels
/// Shapes:   x [H][W][N][C], y [ceil(H / stride)][ceil(W / stride)][N][O], O - C even and >= 0; f32, f64 or bf16
/// Source:   He et al. 2016, "Deep residual learning", option A; the zero channels on both sides as common CIFAR code
///           does
Tensor shortcut_a_forward(const Tensor& x, int64_t out_channels, int64_t stride);
/// dx is dy at the pixels and channels that were read, else zero.
Tensor shortcut_a_backward(const Tensor& dy, const Shape& x_shape, int64_t stride);

Var shortcut_a(const Var& x, int64_t out_channels, int64_t stride);

class ShortcutA : public Op {
 public:
  ShortcutA(int64_t out_channels, int64_t stride);
  std::string_view kind() const override { return "shortcut_a"; }
  std::string describe() const override;
  Shape output_shape(std::span<const Shape> inputs) const override;
  bool non_negative(std::span<const bool> inputs) const override { return inputs[0]; }
  Var apply(std::span<const Var> inputs, std::span<Var>, const RunContext&) const override {
    return shortcut_a(inputs[0], out_channels_, stride_);
  }
  int64_t out_channels() const { return out_channels_; }
  int64_t stride() const { return stride_; }

 private:
  int64_t out_channels_, stride_;
};

}  // namespace kronbit::nn
