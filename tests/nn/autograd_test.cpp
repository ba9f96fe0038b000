// The record of operators itself: what it takes for a gradient, and how it is given up.
#include "nn/autograd.h"

#include <gtest/gtest.h>

#include "nn/ops/add.h"

namespace kronbit::nn {
namespace {

TEST(Autograd, AGradientHasTheShapeThePitchAndTheTypeOfItsValue) {
  const Tensor value = Tensor::activation(1, 1, 2, 3, DType::BF16);
  const Var x(value, true);
  for (const Tensor& wrong :
       {value.to(DType::F32), Tensor::activation(1, 2, 1, 3, DType::BF16), Tensor::zeros(value.shape(), DType::BF16)}) {
    EXPECT_THROW(x.add_grad(wrong), InternalError);
    EXPECT_FALSE(x.grad().defined());
  }
  x.add_grad(Tensor::zeros_like(value));
  EXPECT_THROW(x.add_grad(value.to(DType::F32)), InternalError);
}

TEST(Autograd, ARecordServesOneWayBack) {
  const Var x(Tensor::from({1}, {1}), true), one(Tensor::from({1}, {1}));
  const Var shared = add(x, one);
  const Var a = add(shared, one), b = add(shared, one);
  backward(a);
  EXPECT_THROW(backward(a), InternalError);
  EXPECT_THROW(backward(b), InternalError) << "what it shares with a is used up";
  EXPECT_EQ(x.grad().values()[0], 1);
  backward(add(x, one));  // leaves serve any number
  EXPECT_EQ(x.grad().values()[0], 2);
}

TEST(Autograd, LongRecordsAreGivenUpWithAndWithoutTheWayBack) {
  constexpr int kLength = 300'000;
  const Var start(Tensor::from({1}, {1}), true), one(Tensor::from({1}, {1}));
  for (const bool way_back : {false, true}) {
    Var sum = start;
    for (int i = 0; i < kLength; ++i) sum = add(sum, one);
    EXPECT_EQ(sum.value().values()[0], kLength + 1);
    if (way_back) backward(sum);
  }
  EXPECT_EQ(start.grad().values()[0], 1);
}

}  // namespace
}  // namespace kronbit::nn
