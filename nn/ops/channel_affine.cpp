#include "nn/ops/channel_affine.h"

#include "nn/ops/channel_rows.h"

namespace kronbit::nn {

Tensor channel_affine_forward(const Tensor& x, const Tensor& scale, const Tensor& shift) {
  const int64_t pitch = x.pitch();
  KB_CHECK(scale.count() == x.cols() && shift.count() == x.cols());
  Tensor y = Tensor::uninitialized_like(x);
  visit_float(x.dtype(), [&]<class T>() {
    const std::vector<T> scales = padded_channels<T>(scale, pitch), shifts = padded_channels<T>(shift, pitch);
    const T *s = scales.data(), *b = shifts.data();
    parallel_for(x.rows(), rows_per_chunk(x), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const T* in = x.row<T>(r);
        T* out = y.row<T>(r);
#pragma omp simd
        for (int64_t c = 0; c < pitch; ++c) out[c] = in[c] * s[c] + b[c];
      }
    });
  });
  return y;
}

ChannelAffineGradients channel_affine_backward(const Tensor& dy, const Tensor& x, const Tensor& scale) {
  const int64_t pitch = x.pitch();
  KB_CHECK(dy.shape() == x.shape() && dy.pitch() == pitch);
  ChannelAffineGradients grads;
  visit_float(x.dtype(), [&]<class T>() {
    const ChannelSums sums = sum_rows(x, [&](int64_t r, double* sum_dy_x, double* sum_dy) {
      const T *in = x.row<T>(r), *g = dy.row<T>(r);
#pragma omp simd
      for (int64_t c = 0; c < pitch; ++c) {
        const double v = static_cast<double>(g[c]);
        sum_dy_x[c] += v * static_cast<double>(in[c]);
        sum_dy[c] += v;
      }
    });
    grads.dscale = ChannelSums::tensor(sums.first, x.cols(), scale.dtype());
    grads.dshift = ChannelSums::tensor(sums.second, x.cols(), scale.dtype());
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
