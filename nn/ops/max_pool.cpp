#include "nn/ops/max_pool.h"

#include "nn/ops/planes.h"

namespace kronbit::nn {
namespace {

template <class T>
void max_of_window(const Tensor& x, PoolWindow rows, PoolWindow cols, T* out) {
  const int64_t lanes = lanes_of(x);
  std::copy_n(plane<T>(x, rows.begin, cols.begin), lanes, out);
  for (int64_t h = rows.begin; h < rows.end; ++h) {
    for (int64_t w = cols.begin; w < cols.end; ++w) {
      const T* in = plane<T>(x, h, w);
#pragma omp simd
      for (int64_t i = 0; i < lanes; ++i) out[i] = (in[i] > out[i]) | (in[i] != in[i]) ? in[i] : out[i];
    }
  }
}

}  // namespace

Tensor max_pool_forward(const Tensor& x, const PoolOptions& options) {
  const Shape out = pool_output_shape("max_pool", x.shape(), options);
  Tensor y = Tensor::activation_uninitialized(out[0], out[1], out[2], out[3], x.dtype());
  KB_CHECK_EQ(y.pitch(), x.pitch());
  visit_float(x.dtype(), [&]<class T>() {
    for_each_pixel(y, [&](int64_t i, int64_t j) {
      max_of_window(x, pool_window(i, x.height(), options), pool_window(j, x.width(), options), plane<T>(y, i, j));
    });
  });
  return y;
}

Tensor max_pool_backward(const Tensor& dy, const Tensor& x, const Tensor& y, const PoolOptions& options) {
  Tensor dx = Tensor::zeros_like(x);
  visit_float(x.dtype(), [&]<class T>() {
    for_each_run_of_lanes(x, [&](int64_t begin, int64_t end) {
      std::vector<T> rest(static_cast<size_t>(end - begin));  // of dy, until the maximum has been met
      for (int64_t i = 0; i < y.height(); ++i) {
        const PoolWindow rows = pool_window(i, x.height(), options);
        for (int64_t j = 0; j < y.width(); ++j) {
          const PoolWindow cols = pool_window(j, x.width(), options);
          const T* maximum = plane<T>(y, i, j) + begin;
          const int64_t lanes = end - begin;
          T* left = rest.data();
          std::copy_n(plane<T>(dy, i, j) + begin, lanes, left);
          for (int64_t h = rows.begin; h < rows.end; ++h) {
            for (int64_t w = cols.begin; w < cols.end; ++w) {
              const T* in = plane<T>(x, h, w) + begin;
              T* out = plane<T>(dx, h, w) + begin;
#pragma omp simd
              for (int64_t l = 0; l < lanes; ++l) {
                const T share = in[l] == maximum[l] ? left[l] : T(0);
                out[l] += share;
                left[l] -= share;
              }
            }
          }
        }
      }
    });
  });
  return dx;
}

Var max_pool(const Var& x, const PoolOptions& options) {
  Tensor y = max_pool_forward(x.value(), options);
  return record(y, {x},
                [x, y, options](const Tensor& dy) { x.add_grad(max_pool_backward(dy, x.value(), y, options)); });
}

MaxPool::MaxPool(const PoolOptions& options) : options_(options) { check_pool_options("max_pool", options); }

Shape MaxPool::output_shape(std::span<const Shape> inputs) const {
  return pool_output_shape("max_pool", inputs[0], options_);
}

}  // namespace kronbit::nn
