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

}  // namespace
}  // namespace kronbit
