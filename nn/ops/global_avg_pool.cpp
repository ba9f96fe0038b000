#include "nn/ops/global_avg_pool.h"

#include "nn/ops/planes.h"

namespace kronbit::nn {

Tensor global_avg_pool_forward(const Tensor& x) {
  Tensor y = Tensor::activation(1, 1, x.images(), x.channels(), x.dtype());
  KB_CHECK_EQ(y.pitch(), x.pitch());
  visit_float(x.dtype(), [&]<class T>() {
    const T weight = static_cast<T>(1.0 / static_cast<double>(x.height() * x.width()));
    for_each_run_of_lanes(x, [&](int64_t begin, int64_t end) {
      T* sum = y.data<T>();
      for (int64_t h = 0; h < x.height(); ++h) {
        for (int64_t w = 0; w < x.width(); ++w) {
          const T* in = plane<T>(x, h, w);
#pragma omp simd
          for (int64_t l = begin; l < end; ++l) sum[l] += in[l];
        }
      }
#pragma omp simd
      for (int64_t l = begin; l < end; ++l) sum[l] *= weight;
    });
  });
  return y;
}

Tensor global_avg_pool_backward(const Tensor& dy, const Shape& x_shape) {
  Tensor dx = Tensor::activation_uninitialized(x_shape[0], x_shape[1], x_shape[2], x_shape[3], dy.dtype());
  KB_CHECK_EQ(dx.pitch(), dy.pitch());
  const int64_t lanes = lanes_of(dy);
  visit_float(dy.dtype(), [&]<class T>() {
    const T weight = static_cast<T>(1.0 / static_cast<double>(x_shape[0] * x_shape[1]));
    const T* g = dy.data<T>();
    for_each_pixel(dx, [&](int64_t h, int64_t w) {
      T* out = plane<T>(dx, h, w);
#pragma omp simd
      for (int64_t l = 0; l < lanes; ++l) out[l] = weight * g[l];
    });
  });
  return dx;
}

Var global_avg_pool(const Var& x) {
  Tensor y = global_avg_pool_forward(x.value());
  return record(std::move(y), {x},
                [x](const Tensor& dy) { x.add_grad(global_avg_pool_backward(dy, x.value().shape())); });
}

Shape GlobalAvgPool::output_shape(std::span<const Shape> inputs) const {
  const Shape& x = inputs[0];
  if (x.rank() != 4 || x[0] * x[1] < 1) input_error("global_avg_pool", "x: wanted [H, W, N, C], got {}", x.text());
  return {1, 1, x[2], x[3]};
}

}  // namespace kronbit::nn
