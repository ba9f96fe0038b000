// The sentence that compares the best configuration with the uniform one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "apps/kronbit/search/expectation.h"
#include "apps/kronbit/search/finals.h"

namespace kronbit::app {
namespace {

const Contender kUniform{{4, 4}, 0.90, 0.001, 1000};

Contender best(double accuracy, double bytes, double sd = 0.001) { return {{3, 5}, accuracy, sd, bytes}; }

TEST(Verdict, NamesWinnerPointsAndBytes) {
  EXPECT_EQ(verdict(best(0.91, 969), kUniform, Source::Test),
            "beats the uniform 4-bit network by 1.00 points with 3.1 % fewer bytes");
  EXPECT_EQ(verdict(best(0.85, 1020), kUniform, Source::Test),
            "loses to the uniform 4-bit network by 5.00 points with 2.0 % more bytes");
  EXPECT_EQ(verdict(best(0.91, 1000), kUniform, Source::Model),
            "is expected to beat the uniform 4-bit network by 1.00 points with as many bytes");
}

TEST(Verdict, OfEqualsSaysSo) {
  EXPECT_EQ(verdict(best(0.90001, 900), kUniform, Source::Test),
            "does as well as the uniform 4-bit network with 10.0 % fewer bytes");
  EXPECT_EQ(verdict(best(0.89999, 900), kUniform, Source::Model),
            "is expected to do as well as the uniform 4-bit network with 10.0 % fewer bytes");
  EXPECT_EQ(verdict(kUniform, kUniform, Source::Model), "is the uniform 4-bit network");
}

TEST(Verdict, WhatIsUnknownOfBothAlikeIsNoDoubt) {
  // 2 sqrt(0.003² + 0.001² - 2 · 0.9 · 0.003 · 0.001) = 0.43 points
  EXPECT_EQ(verdict(best(0.906, 900, 0.003), kUniform, Source::Model, 0.9),
            "is expected to beat the uniform 4-bit network by 0.60 points with 10.0 % fewer bytes");
  EXPECT_NEAR(sd_of_difference(0.003, 0.001, 0.9), std::sqrt(4.6e-6), 1e-12);
  EXPECT_EQ(sd_of_difference(0.2, 0.2, 1.0), 0.0);
}

TEST(Verdict, WithinTheDoubtSaysSo) {
  // 2 sqrt(0.003^2 + 0.001^2) = 0.63 points
  EXPECT_EQ(verdict(best(0.906, 900, 0.003), kUniform, Source::Test),
            "beats the uniform 4-bit network by 0.60 points with 10.0 % fewer bytes, which is within the doubt of the "
            "test (+- 0.63)");
  EXPECT_EQ(verdict(best(0.907, 900, 0.003), kUniform, Source::Test),
            "beats the uniform 4-bit network by 0.70 points with 10.0 % fewer bytes");
}

TEST(Verdict, SaysTimesWhereBothAreKnown) {
  Contender fast = best(0.92, 900, 0.001), uniform = kUniform;
  fast.milliseconds = 1.5;
  EXPECT_THAT(verdict(fast, uniform, Source::Test), testing::EndsWith("with 10.0 % fewer bytes"));
  uniform.milliseconds = 2.0;
  EXPECT_THAT(verdict(fast, uniform, Source::Test), testing::EndsWith("with 10.0 % fewer bytes and 25.0 % less time"));
  fast.milliseconds = 2.2;
  EXPECT_THAT(verdict(fast, uniform, Source::Test), testing::EndsWith("and 10.0 % more time"));
  fast.milliseconds = 2.0;
  EXPECT_THAT(verdict(fast, uniform, Source::Test), testing::EndsWith("and as much time"));
}

TEST(Verdict, DoubtOfATestCountsImagesAndSeeds) {
  FinalRow row;
  row.top1 = {0.9};
  EXPECT_NEAR(row.doubt(10000), 0.003, 1e-12);
  row.top1 = {0.89, 0.91};  // their sd is 0.01 sqrt(2), that of the mean 0.01
  EXPECT_NEAR(row.doubt(10000), std::hypot(0.003, 0.01), 1e-12);
}

}  // namespace
}  // namespace kronbit::app
