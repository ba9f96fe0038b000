#include "nn/ops/concat.h"

#include <algorithm>

#include "nn/ops/channel_rows.h"

namespace kronbit::nn {

Tensor concat_forward(std::span<const Tensor> inputs) {
  const Tensor& like = inputs[0];
  int64_t channels = 0;
  for (const Tensor& x : inputs) {
    KB_CHECK(x.rows() == like.rows() && x.dtype() == like.dtype());
    channels += x.channels();
  }
  Tensor y = Tensor::activation_uninitialized(like.height(), like.width(), like.images(), channels, like.dtype());
  visit_number(y.dtype(), [&]<class T>() {
    parallel_for(y.rows(), rows_per_chunk(y), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        T* out = y.row<T>(r);
        for (const Tensor& x : inputs) out = std::copy_n(x.row<T>(r), x.channels(), out);
      }
    });
  });
  return y;
}

Tensor concat_backward(const Tensor& dy, int64_t first, int64_t channels) {
  Tensor dx = Tensor::activation_uninitialized(dy.height(), dy.width(), dy.images(), channels, dy.dtype());
  visit_number(dy.dtype(), [&]<class T>() {
    parallel_for(dy.rows(), rows_per_chunk(dy), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) std::copy_n(dy.row<T>(r) + first, channels, dx.row<T>(r));
    });
  });
  return dx;
}

Var concat(std::span<const Var> inputs) {
  std::vector<Tensor> values;
  for (const Var& x : inputs) values.push_back(x.value());
  const std::vector<Var> vars(inputs.begin(), inputs.end());
  return record(concat_forward(values), vars, [vars](const Tensor& dy) {
    int64_t first = 0;
    for (const Var& x : vars) {
      if (x.requires_grad()) x.add_grad(concat_backward(dy, first, x.value().channels()));
      first += x.value().channels();
    }
  });
}

Shape Concat::output_shape(std::span<const Shape> inputs) const {
  KB_CHECK(!inputs.empty());
  const Shape& like = inputs[0];
  int64_t channels = 0;
  for (const Shape& x : inputs) {
    if (x.rank() != 4 || x[0] != like[0] || x[1] != like[1] || x[2] != like[2])
      input_error("concat", "wanted maps of one size, got {} and {}", like.text(), x.text());
    channels += x[3];
  }
  return {like[0], like[1], like[2], channels};
}

bool Concat::non_negative(std::span<const bool> inputs) const {
  return std::all_of(inputs.begin(), inputs.end(), [](bool known) { return known; });
}

}  // namespace kronbit::nn
