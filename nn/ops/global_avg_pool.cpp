#include "nn/ops/global_avg_pool.h"

#include "nn/ops/planes.h"
#include "tensor/rows/rows.h"

namespace kronbit::nn {

Tensor global_avg_pool_forward(const Tensor& x) {
  Tensor y = Tensor::activation_uninitialized(1, 1, x.images(), x.channels(), x.dtype());
  KB_CHECK_EQ(y.pitch(), x.pitch());
  visit_number(x.dtype(), [&]<class T>() {
    using A = Arithmetic<T>;
    const RowKernels<T>& kernels = row_kernels<T>();
    parallel_for(lanes_of(x), kRun, [&](int64_t begin, int64_t end) {
      A sum[kRun];
      std::fill_n(sum, end - begin, A(0));
      for (int64_t h = 0; h < x.height(); ++h)
        for (int64_t w = 0; w < x.width(); ++w) kernels.add_scaled(end - begin, A(1), plane<T>(x, h, w) + begin, sum);
      kernels.store_scaled(end - begin, static_cast<A>(1.0 / static_cast<double>(x.height() * x.width())), sum,
                           y.data<T>() + begin);
    });
  });
  return y;
}

Tensor global_avg_pool_backward(const Tensor& dy, const Shape& x_shape) {
  Tensor dx = Tensor::activation_uninitialized(x_shape[0], x_shape[1], x_shape[2], x_shape[3], dy.dtype());
  KB_CHECK_EQ(dx.pitch(), dy.pitch());
  visit_number(dy.dtype(), [&]<class T>() {
    using A = Arithmetic<T>;
    const RowKernels<T>& kernels = row_kernels<T>();
    const A weight = static_cast<A>(1.0 / static_cast<double>(x_shape[0] * x_shape[1]));
    parallel_for(lanes_of(dx), kRun, [&](int64_t begin, int64_t end) {
      A share[kRun];
      std::fill_n(share, end - begin, A(0));
      kernels.add_scaled(end - begin, weight, dy.data<T>() + begin, share);
      for (int64_t h = 0; h < x_shape[0]; ++h)
        for (int64_t w = 0; w < x_shape[1]; ++w)
          kernels.store_scaled(end - begin, A(1), share, plane<T>(dx, h, w) + begin);
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
