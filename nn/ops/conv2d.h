// Two-dimensional convolution of activations [H][W][N][C], by batch-reduce GEMMs: every output pixel is a sum, over the
// taps of the kernel that fall inside the image, of matrices images x channels times weights. There is no copy of
// shifted images and no work on padding. Read tensor/brgemm/brgemm.h first.
#pragma once

#include "nn/network.h"

namespace kronbit {
class Device;  // tensor/cuda/device.h
}

namespace kronbit::nn {

class DeviceOperands;  // nn/cuda/device_operands.h

struct Conv2dOptions {
  int64_t in_channels = 0, out_channels = 0;
  int64_t kernel_h = 0, kernel_w = 0;
  int64_t stride = 1;
  int64_t pad = 0;  ///< zeros around the image, on each of its four sides
};

/// Shape of the output for an input of shape [H, W, N, C].
/// Requires: kernel and stride >= 1, pad >= 0, here and below; Convolution checks it
/// Throws: InputError if C does not fit the options or the kernel is larger than the padded image
Shape conv2d_output_shape(const Shape& x, const Conv2dOptions& options);
/// As well: InputError unless the rows of x are padded.
Shape conv2d_output_shape(const Tensor& x, const Conv2dOptions& options);
/// Throws: InputError naming `what` unless t has that shape and type.
void check_conv2d(const char* what, const Tensor& t, const Shape& want, DType type);
/// Throws: InputError naming `what` unless the rows of t are padded as those of Tensor::activation(): the products read
///         whole rows.
void check_padded(const char* what, const Tensor& t);

/// Formula:  y[h][w] = sum over (i, j) of x[h * stride - pad + i][w * stride - pad + j] * w[:, :, i, j]^T
/// Shapes:   x [H][W][N][C]; w [O, C, kh, kw]; returns y [H'][W'][N][O], H' = (H + 2 pad - kh) / stride + 1, W' alike;
///           all of one type, f32 or f64, or activations in bf16 and weights in f32; activations are padded as those
///           of Tensor::activation(), here and below
/// Throws:   InputError if a shape or the padding does not fit or the kernel is larger than the padded image
/// Exactness: bf16: the weights are rounded to bf16, the sum is f32, the result is rounded once; the gradient of the
///           weights stays f32
Tensor conv2d_forward(const Tensor& x, const Tensor& w, const Conv2dOptions& options);

/// Formula:  dx[u][v] = sum over (i, j) of dy[(u + pad - i) / stride][(v + pad - j) / stride] * w[:, :, i, j], where
///           the quotients are whole and inside dy
/// Shapes:   dy [H'][W'][N][O]; returns dx of x_shape and dy's type
Tensor conv2d_backward_data(const Tensor& dy, const Tensor& w, const Shape& x_shape, const Conv2dOptions& options);

/// Formula:  dw[:, :, i, j] = sum over h, w of dy[h][w]^T * x[h * stride - pad + i][w * stride - pad + j]
/// Shapes:   returns dw [O, C, kh, kw], f32 for bf16 activations
Tensor conv2d_backward_weights(const Tensor& dy, const Tensor& x, const Conv2dOptions& options);

/// A convolution layer: the product, and what becomes of its two operands before. Without bias: batch normalization
/// follows every convolution here.
class Convolution : public Op, public std::enable_shared_from_this<Convolution> {
 public:
  explicit Convolution(const Conv2dOptions& options);
  const Conv2dOptions& options() const { return options_; }
  Shape output_shape(std::span<const Shape> inputs) const override;
  std::vector<ParameterSpec> parameters() const override;
  Var apply(std::span<const Var> inputs, std::span<Var> parameters, const RunContext& context) const override;

  /// The operands as the product takes them, and the way back of the input's gradient; here the identity.
  virtual Tensor input(const Tensor& x) const { return x; }
  virtual Tensor weights(const Tensor& w) const { return w; }
  virtual Tensor input_gradient(Tensor dx, [[maybe_unused]] const Tensor& x) const { return dx; }
  /// The same three on a device; null: the identity.
  virtual std::shared_ptr<const DeviceOperands> on_device(const Device&) const { return nullptr; }

 private:
  Conv2dOptions options_;
};

/// Formula:  y = conv2d_forward(layer.input(x), layer.weights(w))
Var convolve(std::shared_ptr<const Convolution> layer, const Var& x, const Var& w);

/// The operands as they are.
class Conv2d : public Convolution {
 public:
  using Convolution::Convolution;
  std::string_view kind() const override { return "conv2d"; }
  std::string describe() const override;
};
Var conv2d(const Var& x, const Var& w, const Conv2dOptions& options);
/// "3x3 16->32 stride 2 pad 1"
std::string describe(const Conv2dOptions& options);

}  // namespace kronbit::nn
