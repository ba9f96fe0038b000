#include "nn/ops/conv2d.h"

#include "nn/ops/conv2d_products.h"

namespace kronbit::nn {
namespace {

Shape weight_shape(const Conv2dOptions& o) { return {o.out_channels, o.in_channels, o.kernel_h, o.kernel_w}; }

/// The type of weights beside activations of a type.
DType weight_type(DType activations) { return activations == DType::BF16 ? DType::F32 : activations; }

}  // namespace

void check_conv2d(const char* what, const Tensor& t, const Shape& want, DType type) {
  if (t.shape() != want || t.dtype() != type) {
    input_error("conv2d", "{}: wanted {} {}, got {} {}", what, want.text(), name_of(type), t.shape().text(),
                name_of(t.dtype()));
  }
}

Shape conv2d_output_shape(const Shape& x, const Conv2dOptions& o) {
  if (x.rank() != 4 || x[3] != o.in_channels) {
    input_error("conv2d", "x: wanted [H, W, N, C] with C = {}, got {}", o.in_channels, x.text());
  }
  if (x[0] + 2 * o.pad < o.kernel_h || x[1] + 2 * o.pad < o.kernel_w) {
    input_error("conv2d", "x: wanted at least {} x {} with pad {}, got {}", o.kernel_h, o.kernel_w, o.pad, x.text());
  }
  return {(x[0] + 2 * o.pad - o.kernel_h) / o.stride + 1, (x[1] + 2 * o.pad - o.kernel_w) / o.stride + 1, x[2],
          o.out_channels};
}

void check_padded(const char* what, const Tensor& t) {
  if (t.pitch() != pitch_of(t.cols())) {
    input_error("conv2d", "{}: wanted rows of {} numbers, padded to {} (Tensor::activation()), got a pitch of {}", what,
                t.cols(), pitch_of(t.cols()), t.pitch());
  }
}

Shape conv2d_output_shape(const Tensor& x, const Conv2dOptions& o) {
  const Shape shape = conv2d_output_shape(x.shape(), o);
  check_padded("x", x);
  return shape;
}

Tensor conv2d_forward(const Tensor& x, const Tensor& w, const Conv2dOptions& o) {
  conv2d_output_shape(x, o);
  check_conv2d("w", w, weight_shape(o), weight_type(x.dtype()));
  return conv2d_forward(x, pack_conv2d(w, x.dtype(), o, false), o);
}

Tensor conv2d_backward_data(const Tensor& dy, const Tensor& w, const Shape& x_shape, const Conv2dOptions& o) {
  check_conv2d("dy", dy, conv2d_output_shape(x_shape, o), dy.dtype());
  check_padded("dy", dy);
  check_conv2d("w", w, weight_shape(o), weight_type(dy.dtype()));
  return conv2d_backward_data(dy, pack_conv2d(w, dy.dtype(), o, true), x_shape, o);
}

Var convolve(std::shared_ptr<const Convolution> layer, const Var& x, const Var& w) {
  const Conv2dOptions o = layer->options();
  const DType type = x.value().dtype();
  const Tensor input = layer->input(x.value()), weights = layer->weights(w.value());
  conv2d_output_shape(input, o);
  check_conv2d("w", weights, weight_shape(o), weight_type(type));
  const PackedConvWeights packed = pack_conv2d(weights, type, o, x.requires_grad());
  return record(conv2d_forward(input, packed, o), {x, w}, [x, w, layer, input, packed, o](const Tensor& dy) {
    if (x.requires_grad())
      x.add_grad(layer->input_gradient(conv2d_backward_data(dy, packed, x.value().shape(), o), x.value()));
    if (w.requires_grad()) w.add_grad(conv2d_backward_weights(dy, input, o));
  });
}

Convolution::Convolution(const Conv2dOptions& options) : options_(options) {
  constexpr int64_t kMost = 1 << 16;  // keeps the arithmetic on shapes far from overflow
  const auto& o = options_;
  bool good = o.pad >= 0 && o.pad <= kMost;
  for (int64_t value : {o.in_channels, o.out_channels, o.kernel_h, o.kernel_w, o.stride}) {
    good = good && value >= 1 && value <= kMost;
  }
  if (!good) {
    input_error("conv2d", "options: wanted channels, kernel and stride 1..{}, pad 0..{}, got {}", kMost, kMost,
                kronbit::nn::describe(options));
  }
}

Shape Convolution::output_shape(std::span<const Shape> inputs) const {
  return conv2d_output_shape(inputs[0], options_);
}

std::vector<ParameterSpec> Convolution::parameters() const {
  return {{"weight", weight_shape(options_), Role::Weight}};
}

Var Convolution::apply(std::span<const Var> inputs, std::span<Var> parameters, const RunContext&) const {
  return convolve(shared_from_this(), inputs[0], parameters[0]);
}

Var conv2d(const Var& x, const Var& w, const Conv2dOptions& options) {
  return convolve(std::make_shared<Conv2d>(options), x, w);
}

std::string describe(const Conv2dOptions& o) {
  return fmt::format("{}x{} {}->{} stride {} pad {}", o.kernel_h, o.kernel_w, o.in_channels, o.out_channels, o.stride,
                     o.pad);
}

std::string Conv2d::describe() const { return kronbit::nn::describe(options()); }

}  // namespace kronbit::nn
