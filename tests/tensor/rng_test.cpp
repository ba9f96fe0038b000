// Random numbers: the values that runs of the past depend on, ranges and permutations.
#include "tensor/rng.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "tensor/base/error.h"

namespace kronbit {
namespace {

// Calculated apart from this source, from the definition of splitmix64.
TEST(Rng, GivesTheNumbersOfItsKeys) {
  Rng plain(0, Purpose::Init), keyed(42, Purpose::Shuffle, {3, 7});
  EXPECT_EQ(plain.next(), 0xb65fb670a97a935eu);
  EXPECT_EQ(plain.next(), 0xca1b1b49d917bf3cu);
  EXPECT_EQ(keyed.next(), 0x11566519b6d4374au);
  EXPECT_EQ(keyed.next(), 0x5f93942fa670da5au);
  EXPECT_EQ(Rng(42, Purpose::Shuffle, {3, 7}).uniform(), 0.06772453191554528);
  EXPECT_NE(Rng(42, Purpose::Shuffle, {7, 3}).next(), 0x11566519b6d4374au);
}

TEST(Rng, UniformAndNormalHaveTheirMoments) {
  Rng rng(1, Purpose::Test);
  constexpr int kCount = 100'000;
  double uniform = 0, normal = 0, squares = 0;
  for (int i = 0; i < kCount; ++i) {
    const double u = rng.uniform(), g = rng.normal();
    ASSERT_TRUE(u >= 0 && u < 1);
    uniform += u;
    normal += g;
    squares += g * g;
  }
  EXPECT_NEAR(uniform / kCount, 0.5, 0.005);
  EXPECT_NEAR(normal / kCount, 0, 0.02);
  EXPECT_NEAR(squares / kCount, 1, 0.03);
}

TEST(Rng, BelowIsInRangeAndUnbiased) {
  Rng rng(2, Purpose::Test);
  for (uint64_t n : {uint64_t{1}, uint64_t{2}, uint64_t{10}, (uint64_t{1} << 63) + 1, UINT64_MAX})
    for (int i = 0; i < 100; ++i) ASSERT_LT(rng.below(n), n);
  // Remainders of 64 bits alone would fall into the first third of this range half of the time.
  constexpr int kCount = 30'000;
  int first_third = 0;
  for (int i = 0; i < kCount; ++i) first_third += rng.below(uint64_t{3} << 62) < uint64_t{1} << 62;
  EXPECT_NEAR(first_third / double{kCount}, 1.0 / 3, 0.02);
  EXPECT_THROW(rng.below(0), InternalError);
}

TEST(Rng, PermutationsAreThoseOfFisherAndYates) {
  EXPECT_THAT(Rng(1, Purpose::Test).permutation(10), testing::ElementsAre(6, 8, 0, 9, 2, 7, 5, 4, 1, 3));
  for (int64_t n : {0, 1, 1000}) {
    std::vector<int64_t> all(static_cast<size_t>(n));
    std::iota(all.begin(), all.end(), int64_t{0});
    EXPECT_THAT(Rng(3, Purpose::Test).permutation(n), testing::UnorderedElementsAreArray(all));
  }
}

}  // namespace
}  // namespace kronbit
