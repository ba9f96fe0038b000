#include "nn/ops/shortcut_a.h"

#include <algorithm>

#include "nn/ops/planes.h"

namespace kronbit::nn {

Tensor shortcut_a_forward(const Tensor& x, int64_t out_channels, int64_t stride) {
  const int64_t channels = x.channels(), first = (out_channels - channels) / 2;
  Tensor y = Tensor::activation_uninitialized((x.height() + stride - 1) / stride, (x.width() + stride - 1) / stride,
                                              x.images(), out_channels, x.dtype());
  visit_number(x.dtype(), [&]<class T>() {
    for_each_pixel(y, [&](int64_t i, int64_t j) {
      const T* in = plane<T>(x, i * stride, j * stride);
      T* out = plane<T>(y, i, j);
      for (int64_t n = 0; n < x.images(); ++n, in += x.pitch(), out += y.pitch()) {
        T* end = std::copy_n(in, channels, std::fill_n(out, first, T()));
        std::fill(end, out + out_channels, T());
      }
    });
  });
  return y;
}

Tensor shortcut_a_backward(const Tensor& dy, const Shape& x_shape, int64_t stride) {
  const int64_t channels = x_shape[3], first = (dy.channels() - channels) / 2;
  Tensor dx = Tensor::activation(x_shape[0], x_shape[1], x_shape[2], channels, dy.dtype());
  visit_number(dy.dtype(), [&]<class T>() {
    for_each_pixel(dy, [&](int64_t i, int64_t j) {
      const T* in = plane<T>(dy, i, j) + first;
      T* out = plane<T>(dx, i * stride, j * stride);
      for (int64_t n = 0; n < x_shape[2]; ++n) std::copy_n(in + n * dy.pitch(), channels, out + n * dx.pitch());
    });
  });
  return dx;
}

Var shortcut_a(const Var& x, int64_t out_channels, int64_t stride) {
  return record(shortcut_a_forward(x.value(), out_channels, stride), {x},
                [x, stride](const Tensor& dy) { x.add_grad(shortcut_a_backward(dy, x.value().shape(), stride)); });
}

ShortcutA::ShortcutA(int64_t out_channels, int64_t stride) : out_channels_(out_channels), stride_(stride) {
  if (stride < 1) input_error("shortcut_a", "stride: wanted at least 1, got {}", stride);
}

std::string ShortcutA::describe() const { return fmt::format("to {} channels stride {}", out_channels_, stride_); }

Shape ShortcutA::output_shape(std::span<const Shape> inputs) const {
  const Shape& x = inputs[0];
  if (x.rank() != 4 || x[3] > out_channels_ || (out_channels_ - x[3]) % 2 != 0) {
    input_error("shortcut_a", "x: wanted [H, W, N, C] with {} - C even and not negative, got {}", out_channels_,
                x.text());
  }
  return {(x[0] + stride_ - 1) / stride_, (x[1] + stride_ - 1) / stride_, x[2], out_channels_};
}

}  // namespace kronbit::nn
