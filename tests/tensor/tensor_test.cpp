#include "tensor/tensor.h"

#include <gtest/gtest.h>

namespace kronbit {
namespace {

TEST(Tensor, ActivationPadsChannelsWithZeros) {
  Tensor t = Tensor::activation_uninitialized(2, 3, 4, 33);
  EXPECT_EQ(t.pitch(), 64);
  EXPECT_EQ(t.rows(), 24);
  for (int64_t r = 0; r < t.rows(); ++r)
    for (int64_t c = 33; c < 64; ++c) EXPECT_EQ(t.row<float>(r)[c], 0.0f);
}

TEST(Tensor, ReshapedSharesTheMemoryAndKeepsTheOrder) {
  const Tensor t = Tensor::from({2, 6}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  const Tensor r = t.reshaped({3, 2, 2});
  EXPECT_TRUE(r.shares_memory_with(t));
  EXPECT_EQ(r.shape(), (Shape{3, 2, 2}));
  EXPECT_EQ(r.rows(), 6);
  EXPECT_EQ(r.pitch(), 2);
  EXPECT_EQ(r.values(), t.values());
  EXPECT_THROW(t.reshaped({5, 2}), InternalError);
  EXPECT_EQ(Tensor::zeros({2, 0}).reshaped({5, 0}).rows(), 5);
  EXPECT_EQ(Tensor::zeros({0, 3}).reshaped({3, 0}).rows(), 3);

  const Tensor padded = Tensor::activation(2, 3, 1, 20);
  EXPECT_EQ(padded.reshaped({1, 6, 1, 20}).pitch(), 32);
  EXPECT_THROW(padded.reshaped({2, 3, 2, 10}), InternalError);  // its numbers do not lie one after the other
}

TEST(Tensor, CopyFromCrossesPitchesAndLeavesThePadding) {
  const Tensor bare = Tensor::from({1, 1, 2, 3}, {1, 2, 3, 4, 5, 6});
  Tensor padded = Tensor::activation(1, 1, 2, 3);
  padded.row<float>(1)[3] = 7;
  padded.copy_from(bare);
  EXPECT_EQ(padded.values(), bare.values());
  EXPECT_EQ(padded.row<float>(1)[3], 7);
  Tensor back = Tensor::zeros(bare.shape());
  back.copy_from(padded);
  EXPECT_EQ(back.values(), bare.values());
  EXPECT_THROW(back.copy_from(bare.reshaped({1, 2, 1, 3})), InternalError);
  EXPECT_THROW(back.copy_from(bare.to(DType::BF16)), InternalError);
}

TEST(Tensor, ShapesAndSizesThatOverflowAreRefused) {
  const int64_t large = int64_t{1} << 29;
  EXPECT_THROW(Shape({large, large, large}), InputError);
  EXPECT_THROW(Shape({2, -1}), InputError);
  EXPECT_THROW(Shape(std::vector<int64_t>(9, 1)), InputError);
  EXPECT_EQ(Shape({0, large, large}).count(), 0);
  EXPECT_THROW(Tensor::activation(large, large, 1, 16), InputError);  // 2^62 numbers, 2^64 bytes
  EXPECT_THROW(Tensor::activation(large, large, 4, 1), InputError);   // 2^60 numbers, 2^64 with their padding
}

}  // namespace
}  // namespace kronbit
