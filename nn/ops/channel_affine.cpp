#include "nn/ops/channel_affine.h"

#include "nn/ops/batch_norm.h"
#include "nn/ops/channel_rows.h"

namespace kronbit::nn {

Tensor channel_affine_forward(const Tensor& x, const Tensor& scale, const Tensor& shift) {
  return normalize(x,
                   {std::vector<double>(static_cast<size_t>(x.cols()), 0.0), padded_channels<double>(scale, x.cols()),
                    padded_channels<double>(shift, x.cols())},
                   nullptr, false);
}

ChannelAffineGradients channel_affine_backward(const Tensor& dy, const Tensor& x, const Tensor& scale) {
  KB_CHECK(dy.shape() == x.shape() && dy.pitch() == x.pitch());
  ChannelAffineGradients grads;
  visit_number(x.dtype(), [&]<class T>() {
    const RowKernels<T>& kernels = row_kernels<T>();
    const std::vector<Arithmetic<T>> zero(static_cast<size_t>(x.pitch()), Arithmetic<T>(0));
    const ChannelSums sums = sum_rows(x, [&](int64_t begin, int64_t end, double* sum_dy, double* sum_dy_x) {
      kernels.add_gradient_moments(row_range(x, begin, end), dy.row<T>(begin), nullptr, x.row<T>(begin), zero.data(),
                                   sum_dy, sum_dy_x);
    });
    grads.dscale = ChannelSums::tensor(sums.second, x.cols(), scale.dtype());
    grads.dshift = ChannelSums::tensor(sums.first, x.cols(), scale.dtype());
  });
  grads.dx = channel_affine_forward(dy, scale, Tensor::zeros_like(scale));
  return grads;
}

Var channel_affine(const Var& x, const Var& scale, const Var& shift) {
  Tensor y = channel_affine_forward(x.value(), scale.value(), shift.value());
  return record(std::move(y), {x, scale, shift}, [x, scale, shift](const Tensor& dy) {
    ChannelAffineGradients g = channel_affine_backward(dy, x.value(), scale.value());
    x.add_grad(std::move(g.dx));
    scale.add_grad(std::move(g.dscale));
    shift.add_grad(std::move(g.dshift));
  });
}

ChannelAffine::ChannelAffine(int64_t channels) : channels_(channels) {
  if (channels < 1) input_error("channel_affine", "channels: wanted at least 1, got {}", channels);
}

std::string ChannelAffine::describe() const { return fmt::format("{} channels", channels_); }

Shape ChannelAffine::output_shape(std::span<const Shape> inputs) const {
  if (inputs[0].rank() != 4 || inputs[0][3] != channels_) {
    input_error("channel_affine", "x: wanted [H, W, N, {}], got {}", channels_, inputs[0].text());
  }
  return inputs[0];
}

std::vector<ParameterSpec> ChannelAffine::parameters() const {
  return {{"scale", {channels_}, Role::Scale}, {"shift", {channels_}, Role::Shift}};
}

Var ChannelAffine::apply(std::span<const Var> inputs, std::span<Var> parameters, const RunContext&) const {
  return channel_affine(inputs[0], parameters[0], parameters[1]);
}

}  // namespace kronbit::nn
