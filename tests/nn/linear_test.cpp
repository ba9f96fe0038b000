#include "nn/ops/linear.h"

#include <gtest/gtest.h>

#include "tests/nn/random_tensors.h"

namespace kronbit::nn {
namespace {

TEST(Linear, AgreesWithPlainLoops) {
  for (const auto& [n, in, out] : {std::tuple{1, 1, 1}, {3, 64, 10}, {65, 50, 131}, {2, 300, 97}, {0, 5, 4}}) {
    SCOPED_TRACE(fmt::format("N {} C {} O {}", n, in, out));
    const Tensor x = random_activation(1, 1, n, in, 1), dy = random_activation(1, 1, n, out, 2);
    const Tensor w = random_tensor({out, in}, 3), b = random_tensor({out}, 4);
    for (DType type : {DType::F64, DType::F32}) {
      const double epsilon = type == DType::F64 ? 1e-13 : 1e-5;
      const Tensor y = linear_forward(x.to(type), w.to(type), b.to(type)).to(DType::F64);
      const LinearGradients g = linear_backward(dy.to(type), x.to(type), w.to(type));
      const Tensor dx = g.dx.to(DType::F64), dw = g.dw.to(DType::F64), db = g.db.to(DType::F64);
      for (int64_t o = 0; o < out; ++o) {
        double bias = 0;
        for (int64_t i = 0; i < n; ++i) {
          double sum = b.data<double>()[o];
          for (int64_t c = 0; c < in; ++c) sum += x.row<double>(i)[c] * w.row<double>(o)[c];
          ASSERT_NEAR(y.row<double>(i)[o], sum, epsilon * 4 * in);
          bias += dy.row<double>(i)[o];
        }
        ASSERT_NEAR(db.data<double>()[o], bias, epsilon * 4 * (n + 1));
        for (int64_t c = 0; c < in; ++c) {
          double sum = 0;
          for (int64_t i = 0; i < n; ++i) sum += dy.row<double>(i)[o] * x.row<double>(i)[c];
          ASSERT_NEAR(dw.row<double>(o)[c], sum, epsilon * 4 * (n + 1));
        }
      }
      for (int64_t i = 0; i < n; ++i) {
        for (int64_t c = 0; c < in; ++c) {
          double sum = 0;
          for (int64_t o = 0; o < out; ++o) sum += dy.row<double>(i)[o] * w.row<double>(o)[c];
          ASSERT_NEAR(dx.row<double>(i)[c], sum, epsilon * 4 * out);
        }
      }
    }
  }
}

TEST(Linear, SaysWhatDoesNotFit) {
  const Tensor w = Tensor::zeros({10, 64}), b = Tensor::zeros({10});
  EXPECT_THROW(linear_forward(Tensor::activation(1, 1, 2, 63), w, b), InputError);
  EXPECT_THROW(linear_forward(Tensor::activation(2, 1, 2, 64), w, b), InputError);
  EXPECT_THROW(linear_forward(Tensor::activation(1, 1, 2, 64), w, Tensor::zeros({9})), InputError);
  EXPECT_THROW(linear_forward(Tensor::zeros({2, 64}), w, b), InputError);
  const Linear op(64, 10);
  const Shape good{1, 1, 1, 64}, bad{2, 2, 1, 16};
  EXPECT_EQ(op.output_shape({&good, 1}), (Shape{1, 1, 1, 10}));
  EXPECT_THROW(op.output_shape({&bad, 1}), InputError);
  EXPECT_EQ(op.describe(), "64->10");
}

}  // namespace
}  // namespace kronbit::nn
