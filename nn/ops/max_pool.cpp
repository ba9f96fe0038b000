#include "nn/ops/max_pool.h"

#include "nn/ops/planes.h"
#include "tensor/rows/rows.h"

namespace kronbit::nn {
namespace {

/// The part of output pixel (i, j)'s window inside the image, in row order.
struct Window {
  PoolWindow rows, cols;
  Window(int64_t i, int64_t j, const Shape& x, const PoolOptions& options)
      : rows(pool_window(i, x[0], options)), cols(pool_window(j, x[1], options)) {}
  int64_t count() const { return (rows.end - rows.begin) * (cols.end - cols.begin); }
  /// Which one of the window's pixels (h, w) is.
  int64_t position(int64_t h, int64_t w) const { return (h - rows.begin) * (cols.end - cols.begin) + w - cols.begin; }
};

/// The window's pixels, from a lane on.
template <class T>
std::vector<const T*> planes_of(const Tensor& x, const Window& window, int64_t lane) {
  std::vector<const T*> planes;
  planes.reserve(static_cast<size_t>(window.count()));
  for (int64_t h = window.rows.begin; h < window.rows.end; ++h)
    for (int64_t w = window.cols.begin; w < window.cols.end; ++w) planes.push_back(plane<T>(x, h, w) + lane);
  return planes;
}

/// Every pixel of x is in one window at most: all of them are written from their window.
template <class T>
void backward_disjoint(const Tensor& dy, const Tensor& x, const PoolOptions& options, Tensor& dx) {
  const RowKernels<T>& kernels = row_kernels<T>();
  for_each_pixel_run(dy, [&](int64_t i, int64_t j, int64_t begin, int64_t end) {
    const Window window(i, j, x.shape(), options);
    uint16_t index[kRun];
    kernels.argmax(end - begin, planes_of<T>(x, window, begin).data(), window.count(), index);
    for (int64_t h = window.rows.begin; h < window.rows.end; ++h) {
      for (int64_t w = window.cols.begin; w < window.cols.end; ++w) {
        kernels.select(end - begin, plane<T>(dy, i, j) + begin, index, static_cast<uint16_t>(window.position(h, w)),
                       plane<T>(dx, h, w) + begin);
      }
    }
  });
}

/// Every pixel of x gathers its shares from the windows that hold it.
template <class T>
void backward_overlapping(const Tensor& dy, const Tensor& x, const PoolOptions& options, Tensor& dx) {
  using A = Arithmetic<T>;
  const RowKernels<T>& kernels = row_kernels<T>();
  std::vector<uint16_t> indices(static_cast<size_t>(dy.stored()));
  const auto index = [&](int64_t i, int64_t j) { return indices.data() + (i * dy.width() + j) * lanes_of(dy); };
  for_each_pixel_run(dy, [&](int64_t i, int64_t j, int64_t begin, int64_t end) {
    const Window window(i, j, x.shape(), options);
    kernels.argmax(end - begin, planes_of<T>(x, window, begin).data(), window.count(), index(i, j) + begin);
  });
  for_each_pixel_run(dx, [&](int64_t h, int64_t w, int64_t begin, int64_t end) {
    const PoolWindowRange rows = pool_windows_of(h, dy.height(), options);
    const PoolWindowRange cols = pool_windows_of(w, dy.width(), options);
    A sum[kRun];
    std::fill_n(sum, end - begin, A(0));
    for (int64_t i = rows.begin; i < rows.end; ++i) {
      for (int64_t j = cols.begin; j < cols.end; ++j) {
        const auto position = static_cast<uint16_t>(Window(i, j, x.shape(), options).position(h, w));
        kernels.add_selected(end - begin, plane<T>(dy, i, j) + begin, index(i, j) + begin, position, sum);
      }
    }
    kernels.store_scaled(end - begin, A(1), sum, plane<T>(dx, h, w) + begin);
  });
}

}  // namespace

Tensor max_pool_forward(const Tensor& x, const PoolOptions& options) {
  const Shape out = pool_output_shape("max_pool", x.shape(), options);
  Tensor y = Tensor::activation_uninitialized(out[0], out[1], out[2], out[3], x.dtype());
  KB_CHECK_EQ(y.pitch(), x.pitch());
  visit_number(x.dtype(), [&]<class T>() {
    const RowKernels<T>& kernels = row_kernels<T>();
    for_each_pixel_run(y, [&](int64_t i, int64_t j, int64_t begin, int64_t end) {
      const Window window(i, j, x.shape(), options);
      kernels.max(end - begin, planes_of<T>(x, window, begin).data(), window.count(), plane<T>(y, i, j) + begin);
    });
  });
  return y;
}

Tensor max_pool_backward(const Tensor& dy, const Tensor& x, const PoolOptions& options) {
  const bool disjoint = options.stride >= options.kernel;
  // Between and beyond disjoint windows nothing is written.
  const bool all_written = !disjoint || (options.stride == options.kernel && options.pad == 0 &&
                                         x.height() % options.kernel == 0 && x.width() % options.kernel == 0);
  Tensor dx = all_written ? Tensor::uninitialized_like(x) : Tensor::zeros_like(x);
  visit_number(x.dtype(), [&]<class T>() {
    disjoint ? backward_disjoint<T>(dy, x, options, dx) : backward_overlapping<T>(dy, x, options, dx);
  });
  return dx;
}

Var max_pool(const Var& x, const PoolOptions& options) {
  return record(max_pool_forward(x.value(), options), {x},
                [x, options](const Tensor& dy) { x.add_grad(max_pool_backward(dy, x.value(), options)); });
}

MaxPool::MaxPool(const PoolOptions& options) : options_(options) {
  check_pool_options("max_pool", options);
  if (options.kernel > 255) input_error("max_pool", "kernel: wanted at most 255, got {}", options.kernel);
}

Shape MaxPool::output_shape(std::span<const Shape> inputs) const {
  return pool_output_shape("max_pool", inputs[0], options_);
}

}  // namespace kronbit::nn
