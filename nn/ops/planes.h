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

/// Lanes of one run: several of its pixels stay in the first cache, several rows of them in the second.
inline constexpr int64_t kRun = 2048;

/// Calls body(h, w, begin, end) for every pixel of y and every run of its lanes, in parallel: for loops over windows
/// that overlap, which meet the same numbers soon again.
template <class Body>
void for_each_pixel_run(const Tensor& y, const Body& body) {
  constexpr int64_t kRows = 8;
  const int64_t lanes = lanes_of(y), bands = chunk_count(y.height(), kRows), runs = chunk_count(lanes, kRun);
  parallel_for(runs * bands, 1, [&](int64_t task, int64_t) {
    const int64_t begin = task / bands * kRun, end = std::min(lanes, begin + kRun);
    const int64_t first = task % bands * kRows, last = std::min(y.height(), first + kRows);
    for (int64_t h = first; h < last; ++h)
      for (int64_t w = 0; w < y.width(); ++w) body(h, w, begin, end);
  });
}

}  // namespace kronbit::nn
