#include "nn/ops/avg_pool.h"

#include "nn/ops/planes.h"
#include "tensor/rows/rows.h"

namespace kronbit::nn {
namespace {

/// 1 / n of a window.
double weight_of(const PoolWindow& rows, const PoolWindow& cols, const PoolOptions& options) {
  const int64_t inside = (rows.end - rows.begin) * (cols.end - cols.begin);
  return 1.0 / static_cast<double>(options.count_include_pad ? rows.padded_length * cols.padded_length : inside);
}

}  // namespace

Tensor avg_pool_forward(const Tensor& x, const PoolOptions& options) {
  const Shape out = pool_output_shape("avg_pool", x.shape(), options);
  Tensor y = Tensor::activation_uninitialized(out[0], out[1], out[2], out[3], x.dtype());
  KB_CHECK_EQ(y.pitch(), x.pitch());
  visit_number(x.dtype(), [&]<class T>() {
    using A = Arithmetic<T>;
    const RowKernels<T>& kernels = row_kernels<T>();
    for_each_pixel_run(y, [&](int64_t i, int64_t j, int64_t begin, int64_t end) {
      const PoolWindow rows = pool_window(i, x.height(), options), cols = pool_window(j, x.width(), options);
      A sum[kRun];
      std::fill_n(sum, end - begin, A(0));
      for (int64_t h = rows.begin; h < rows.end; ++h)
        for (int64_t w = cols.begin; w < cols.end; ++w)
          kernels.add_scaled(end - begin, A(1), plane<T>(x, h, w) + begin, sum);
      kernels.store_scaled(end - begin, static_cast<A>(weight_of(rows, cols, options)), sum, plane<T>(y, i, j) + begin);
    });
  });
  return y;
}

Tensor avg_pool_backward(const Tensor& dy, const Shape& x_shape, const PoolOptions& options) {
  Tensor dx = Tensor::activation_uninitialized(x_shape[0], x_shape[1], x_shape[2], x_shape[3], dy.dtype());
  KB_CHECK_EQ(dx.pitch(), dy.pitch());
  visit_number(dy.dtype(), [&]<class T>() {
    using A = Arithmetic<T>;
    const RowKernels<T>& kernels = row_kernels<T>();
    for_each_pixel_run(dx, [&](int64_t h, int64_t w, int64_t begin, int64_t end) {
      const PoolWindowRange rows = pool_windows_of(h, dy.height(), options);
      const PoolWindowRange cols = pool_windows_of(w, dy.width(), options);
      A sum[kRun];
      std::fill_n(sum, end - begin, A(0));
      for (int64_t i = rows.begin; i < rows.end; ++i) {
        for (int64_t j = cols.begin; j < cols.end; ++j) {
          const double weight =
              weight_of(pool_window(i, x_shape[0], options), pool_window(j, x_shape[1], options), options);
          kernels.add_scaled(end - begin, static_cast<A>(weight), plane<T>(dy, i, j) + begin, sum);
        }
      }
      kernels.store_scaled(end - begin, A(1), sum, plane<T>(dx, h, w) + begin);
    });
  });
  return dx;
}

Var avg_pool(const Var& x, const PoolOptions& options) {
  Tensor y = avg_pool_forward(x.value(), options);
  return record(std::move(y), {x},
                [x, options](const Tensor& dy) { x.add_grad(avg_pool_backward(dy, x.value().shape(), options)); });
}

AvgPool::AvgPool(const PoolOptions& options) : options_(options) { check_pool_options("avg_pool", options); }

Shape AvgPool::output_shape(std::span<const Shape> inputs) const {
  return pool_output_shape("avg_pool", inputs[0], options_);
}

}  // namespace kronbit::nn
