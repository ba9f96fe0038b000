// Pixels as planes: in [H][W][N][C] a pixel of all images and channels is one contiguous run of N*pitch numbers
// (lanes), and a spatial operator treats every lane alike.
#pragma once

#include <algorithm>

#include "tensor/parallel.h"
#include "tensor/tensor.h"

namespace kronbit::nn {

/// Numbers of one plane, padding lanes included.
inline int64_t lanes_of(const Tensor& x) { return x.images() * x.pitch(); }

template <class T>
T* plane(Tensor& x, int64_t h, int64_t w) {
  return x.data<T>() + (h * x.width() + w) * lanes_of(x);
}
template <class T>
const T* plane(const Tensor& x, int64_t h, int64_t w) {
  return x.data<T>() + (h * x.width() + w) * lanes_of(x);
}

/// Calls body(h, w) for every pixel of y, in parallel: for loops that write each pixel of y once.
template <class Body>
void for_each_pixel(const Tensor& y, const Body& body) {
  const int64_t width = y.width(), grain = std::max<int64_t>(1, (1 << 15) / std::max<int64_t>(1, lanes_of(y)));
  parallel_for(y.height() * width, grain, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) body(p / width, p % width);
  });
}

/// Calls body(begin, end) for runs of at most kRun lanes, one after another: what is summed up over several pixels
/// stays in the first cache.
inline constexpr int64_t kRun = 1024;
template <class Body>
void for_each_run(int64_t lanes, const Body& body) {
  for (int64_t begin = 0; begin < lanes; begin += kRun) body(begin, std::min(lanes, begin + kRun));
}

}  // namespace kronbit::nn
