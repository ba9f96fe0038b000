#include "nn/ops/flatten.h"

#include "tensor/parallel.h"

namespace kronbit::nn {
namespace {

/// Calls move(x_index, y_index), positions in storage, for every number of image n.
template <class Move>
void for_each_number(const Shape& x, int64_t x_pitch, int64_t y_pitch, int64_t n, const Move& move) {
  const int64_t pixels = x[0] * x[1];
  for (int64_t p = 0; p < pixels; ++p)
    for (int64_t c = 0; c < x[3]; ++c) move((p * x[2] + n) * x_pitch + c, n * y_pitch + c * pixels + p);
}

}  // namespace

Tensor flatten_forward(const Tensor& x) {
  const int64_t images = x.images();
  Tensor y = Tensor::activation_uninitialized(1, 1, images, x.channels() * x.height() * x.width(), x.dtype());
  visit_number(x.dtype(), [&]<class T>() {
    const T* in = x.data<T>();
    T* out = y.data<T>();
    parallel_for(images, 1, [&](int64_t n, int64_t) {
      for_each_number(x.shape(), x.pitch(), y.pitch(), n, [&](int64_t from, int64_t to) { out[to] = in[from]; });
    });
  });
  return y;
}

Tensor flatten_backward(const Tensor& dy, const Shape& x_shape) {
  Tensor dx = Tensor::activation_uninitialized(x_shape[0], x_shape[1], x_shape[2], x_shape[3], dy.dtype());
  visit_number(dy.dtype(), [&]<class T>() {
    const T* in = dy.data<T>();
    T* out = dx.data<T>();
    parallel_for(x_shape[2], 1, [&](int64_t n, int64_t) {
      for_each_number(x_shape, dx.pitch(), dy.pitch(), n, [&](int64_t to, int64_t from) { out[to] = in[from]; });
    });
  });
  return dx;
}

Var flatten(const Var& x) {
  if (x.value().height() * x.value().width() == 1) return x;  // already one row
  return record(flatten_forward(x.value()), {x},
                [x](const Tensor& dy) { x.add_grad(flatten_backward(dy, x.value().shape())); });
}

Shape Flatten::output_shape(std::span<const Shape> inputs) const {
  const Shape& x = inputs[0];
  if (x.rank() != 4) input_error("flatten", "x: wanted [H, W, N, C], got {}", x.text());
  return {1, 1, x[2], x[0] * x[1] * x[3]};
}

}  // namespace kronbit::nn
