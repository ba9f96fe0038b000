#include "nn/ops/conv2d_gather.h"

#include <algorithm>
#include <cstring>

#include "nn/ops/conv2d_taps.h"
#include "tensor/parallel.h"

namespace kronbit::nn {

bool gathers(const Conv2dOptions& o) {
  const int64_t taps = o.kernel_h * o.kernel_w;
  return taps > 1 && o.in_channels <= 4;
}

Conv2dOptions gathered(const Conv2dOptions& o) {
  return {.in_channels = o.in_channels * o.kernel_h * o.kernel_w,
          .out_channels = o.out_channels,
          .kernel_h = 1,
          .kernel_w = 1};
}

namespace {

template <class T>
void gather_pixel(const Tensor& x, const Conv2dOptions& o, const std::vector<Tap>& rows,
                  const std::vector<Tap>& columns, T* to, int64_t pitch) {
  const int64_t taps = o.kernel_h * o.kernel_w, images = x.images(), from_pitch = x.pitch();
  std::memset(static_cast<void*>(to), 0, static_cast<size_t>(images * pitch) * sizeof(T));
  for (const Tap& i : rows) {
    for (const Tap& j : columns) {
      const T* from = x.row<T>((i.source * x.width() + j.source) * images);
      T* column = to + i.tap * o.kernel_w + j.tap;
      for (int64_t n = 0; n < images; ++n)
        for (int64_t c = 0; c < o.in_channels; ++c) column[n * pitch + c * taps] = from[n * from_pitch + c];
    }
  }
}

template <class T>
void gather_all(const Tensor& x, const Conv2dOptions& o, Tensor& g) {
  const Taps rows = forward_taps(g.height(), x.height(), o.kernel_h, o);
  const Taps columns = forward_taps(g.width(), x.width(), o.kernel_w, o);
  parallel_for(g.height() * g.width(), 1, [&](int64_t pixel, int64_t) {
    gather_pixel<T>(x, o, rows[static_cast<size_t>(pixel / g.width())], columns[static_cast<size_t>(pixel % g.width())],
                    g.row<T>(pixel * g.images()), g.pitch());
  });
}

}  // namespace

Tensor gather(const Tensor& x, const Conv2dOptions& o) {
  const Shape out = conv2d_output_shape(x, o);
  Tensor g =
      Tensor::activation_uninitialized(out[0], out[1], out[2], o.in_channels * o.kernel_h * o.kernel_w, x.dtype());
  visit_number(x.dtype(), [&]<class T>() { gather_all<T>(x, o, g); });
  return g;
}

}  // namespace kronbit::nn
