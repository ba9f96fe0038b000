// Tensors of normal numbers.
#pragma once

#include "tensor/rng.h"
#include "tensor/tensor.h"

namespace kronbit::nn {

/// Of an f64 tensor all but the padding, drawn from `seed`.
inline void fill_normal(Tensor& t, uint64_t seed) {
  Rng rng(seed, Purpose::Test);
  for (int64_t r = 0; r < t.rows(); ++r)
    for (int64_t c = 0; c < t.cols(); ++c) t.row<double>(r)[c] = rng.normal();
}

/// f64; random_activation pads its channels.
inline Tensor random_activation(int64_t h, int64_t w, int64_t n, int64_t c, uint64_t seed) {
  Tensor t = Tensor::activation(h, w, n, c, DType::F64);
  fill_normal(t, seed);
  return t;
}
inline Tensor random_tensor(const Shape& shape, uint64_t seed) {
  Tensor t = Tensor::zeros(shape, DType::F64);
  fill_normal(t, seed);
  return t;
}

}  // namespace kronbit::nn
