// The procedural data set.
#include <map>

#include "data/open.h"
#include "tests/data/files.h"
#include "tests/tensor/keep_threads.h"

namespace kronbit::data {
namespace {

TEST(SyntheticTest, IsTheSameOnAnyNumberOfThreadsAndForAnySeed) {
  const KeepThreads keep;
  std::vector<uint32_t> sums;
  for (int n : {1, 3}) {
    set_threads(n);
    const Splits splits = open("synthetic", {.seed = static_cast<uint64_t>(n)});
    sums.push_back(splits.train.source().checksum());
    sums.push_back(splits.test.source().checksum());
  }
  EXPECT_EQ(sums[0], sums[2]);
  EXPECT_EQ(sums[1], sums[3]);
  EXPECT_NE(sums[0], sums[1]);
}

TEST(SyntheticTest, HasTenEqualClassesAndThreeSplits) {
  const Splits splits = open("synthetic");
  EXPECT_EQ(splits.train.size(), 6400);
  EXPECT_EQ(splits.validation.size(), 1600);
  EXPECT_EQ(splits.test.size(), 2000);
  EXPECT_EQ(splits.train.height(), 32);
  EXPECT_EQ(splits.train.width(), 32);
  ASSERT_EQ(splits.train.classes(), 10);
  std::map<int, int> counts;
  for (int64_t i = 0; i < splits.test.size(); ++i) ++counts[splits.test.label(i)];
  for (int k = 0; k < 10; ++k) EXPECT_EQ(counts[k], 200);
}

/// The nearest class by mean colour would be right one time in ten if colours told nothing.
TEST(SyntheticTest, ColoursDoNotTellTheClass) {
  const Splits splits = open("synthetic");
  const auto mean_colour = [](const Dataset& set, int64_t i) {
    std::array<double, 3> mean{};
    const std::vector<uint8_t> rgb = pixels_of(set, i);
    for (size_t k = 0; k < rgb.size(); ++k) mean[k % 3] += rgb[k] / 1024.0;
    return mean;
  };
  std::array<std::array<double, 3>, 10> centres{};
  for (int64_t i = 0; i < splits.train.size(); ++i) {
    const auto mean = mean_colour(splits.train, i);
    for (size_t c = 0; c < 3; ++c) centres[static_cast<size_t>(splits.train.label(i))][c] += mean[c] / 640;
  }
  int64_t right = 0;
  for (int64_t i = 0; i < splits.test.size(); ++i) {
    const auto mean = mean_colour(splits.test, i);
    const auto distance = [&](size_t k) {
      double sum = 0;
      for (size_t c = 0; c < 3; ++c) sum += (mean[c] - centres[k][c]) * (mean[c] - centres[k][c]);
      return sum;
    };
    size_t best = 0;
    for (size_t k = 1; k < 10; ++k) best = distance(k) < distance(best) ? k : best;
    right += static_cast<int>(best) == splits.test.label(i);
  }
  EXPECT_LT(right, 400);
}

}  // namespace
}  // namespace kronbit::data
