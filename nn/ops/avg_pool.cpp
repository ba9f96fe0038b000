#include "nn/ops/avg_pool.h"

#include "nn/ops/planes.h"

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
  Tensor y = Tensor::activation(out[0], out[1], out[2], out[3], x.dtype());
  KB_CHECK_EQ(y.pitch(), x.pitch());
  const int64_t lanes = lanes_of(x);
  visit_float(x.dtype(), [&]<class T>() {
    for_each_pixel(y, [&](int64_t i, int64_t j) {
      const PoolWindow rows = pool_window(i, x.height(), options), cols = pool_window(j, x.width(), options);
      T* sum = plane<T>(y, i, j);
      for (int64_t h = rows.begin; h < rows.end; ++h) {
        for (int64_t w = cols.begin; w < cols.end; ++w) {
          const T* in = plane<T>(x, h, w);
#pragma omp simd
          for (int64_t l = 0; l < lanes; ++l) sum[l] += in[l];
        }
      }
      const T weight = static_cast<T>(weight_of(rows, cols, options));
#pragma omp simd
      for (int64_t l = 0; l < lanes; ++l) sum[l] *= weight;
    });
  });
  return y;
}

Tensor avg_pool_backward(const Tensor& dy, const Shape& x_shape, const PoolOptions& options) {
  Tensor dx = Tensor::activation(x_shape[0], x_shape[1], x_shape[2], x_shape[3], dy.dtype());
  KB_CHECK_EQ(dx.pitch(), dy.pitch());
  visit_float(dy.dtype(), [&]<class T>() {
    for_each_run_of_lanes(dy, [&](int64_t begin, int64_t end) {
      for (int64_t i = 0; i < dy.height(); ++i) {
        const PoolWindow rows = pool_window(i, x_shape[0], options);
        for (int64_t j = 0; j < dy.width(); ++j) {
          const PoolWindow cols = pool_window(j, x_shape[1], options);
          const T weight = static_cast<T>(weight_of(rows, cols, options));
          const T* g = plane<T>(dy, i, j);
          for (int64_t h = rows.begin; h < rows.end; ++h) {
            for (int64_t w = cols.begin; w < cols.end; ++w) {
              T* out = plane<T>(dx, h, w);
#pragma omp simd
              for (int64_t l = begin; l < end; ++l) out[l] += weight * g[l];
            }
          }
        }
      }
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
