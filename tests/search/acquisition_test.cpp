// Expected improvements against quadrature and Monte Carlo, sorting against brute force.
#include "search/acquisition.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tensor/rng.h"

namespace kronbit::search {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(Acquisition, TailsOfTheNormal) {
  EXPECT_NEAR(log_probability_above(0, 1, 0), std::log(0.5), 1e-15);
  EXPECT_NEAR(log_probability_above(0, 1, 1), std::log(0.15865525393145707), 1e-13);
  EXPECT_NEAR(log_probability_above(0, 1, 5), std::log(2.866515718791939e-07), 1e-12);
  EXPECT_NEAR(log_probability_above(0, 1, 30), -454.32124395634316, 1e-9);
  EXPECT_NEAR(log_probability_above(3, 0.5, -1), -6.220960574271785e-16, 1e-20);
  EXPECT_EQ(log_probability_above(1, 0, 0.5), 0.0);
  EXPECT_EQ(log_probability_above(1, 0, 1), -kInfinity);
}

TEST(Acquisition, ExpectedImprovementGoldenValues) {
  EXPECT_NEAR(log_expected_improvement(0, 1, 0), std::log(0.3989422804014327), 1e-14);
  EXPECT_NEAR(std::exp(log_expected_improvement(0.7, 0.2, 0.6)), 0.2 * (0.3520653267642995 + 0.5 * 0.6914624612740131),
              1e-14);
  EXPECT_NEAR(log_expected_improvement(5, 1e-3, 1), std::log(4.0), 1e-14);
  EXPECT_EQ(log_expected_improvement(2, 0, 3), -kInfinity);
  EXPECT_DOUBLE_EQ(log_expected_improvement(3, 0, 2), 0.0);
}

/// ln of h(z) = int_0^inf t phi(t - z) dt, by Simpson's rule with the exponent's maximum taken out.
double log_improvement_by_quadrature(double z) {
  const double top = 0.5 * (z + std::sqrt(z * z + 4.0));  // where ln t - (t - z)^2 / 2 is largest
  const auto exponent = [z](double t) { return std::log(t) - 0.5 * (t - z) * (t - z); };
  const double width = std::min(1.0, 1.0 / std::max(1.0, -z)) * 60.0;
  const int steps = 400000;
  double sum = 0.0;
  for (int i = 1; i <= steps; ++i) {
    const double t = width * i / steps + (z > 0 ? std::max(0.0, z - 30.0) : 0.0);
    sum += (i == steps ? 1.0 : (i % 2 == 1 ? 4.0 : 2.0)) * std::exp(exponent(t) - exponent(top));
  }
  return exponent(top) + std::log(sum * width / steps / 3.0) - 0.91893853320467274178;
}

TEST(Acquisition, LogImprovementIsAccurateInBothTails) {
  for (const double z : {-200.0, -30.0, -8.0, -3.0, -1.001, -1.0, -0.999, 0.0, 0.5, 3.0, 20.0})
    EXPECT_NEAR(log_expected_improvement(z, 1.0, 0.0), log_improvement_by_quadrature(z), 1e-8) << z;
  // Hopeless candidates keep their order.
  EXPECT_LT(log_expected_improvement(0, 1, 1e5), log_expected_improvement(0, 1, 0.99e5));
}

Candidate candidate_of(Bits bits, double bytes) {
  Candidate candidate{.bits = std::move(bits), .w = {0.5}, .cost = {}};
  candidate.cost = {bytes, 2.0 * bytes, 1.0, 3.0 * bytes};
  return candidate;
}

TEST(Acquisition, GoalImprovementMatchesMonteCarlo) {
  const Candidate candidate = candidate_of({4, 3}, 700);
  const double mean = 0.8, sd = 0.05;
  for (const By by : {By::Effective, By::Accuracy, By::Size, By::Bops, By::Latency})
    for (const double floor : {0.0, 0.78, 0.9}) {
      Goal goal;
      goal.by = by;
      goal.min_accuracy = floor;
      const bool price = by == By::Size || by == By::Bops || by == By::Latency;
      const double incumbent = price ? -2500.0 : 0.79;
      Rng rng(3, Purpose::Test);
      double sum = 0.0;
      const int draws = 400000;
      for (int i = 0; i < draws; ++i)
        sum += std::max(0.0, score(goal, mean + sd * rng.normal(), candidate.bits, candidate.cost) - incumbent);
      const double expected = sum / draws;
      const double value = std::exp(log_goal_improvement(goal, candidate, mean, sd, incumbent));
      EXPECT_NEAR(value, expected, 0.02 * expected + 1e-5) << name_of(by) << " " << floor;
      EXPECT_GT(value, 0.0);
    }
}

TEST(Acquisition, GoalImprovementBeforeAnythingIsReached) {
  Goal goal;
  goal.by = By::Size;
  goal.min_accuracy = 0.9;
  const Candidate small = candidate_of({2}, 100), large = candidate_of({6}, 900);
  const Incumbent below = score(goal, 0.7, large.bits, large.cost);
  EXPECT_DOUBLE_EQ(log_goal_improvement(goal, large, 0.85, 0.02, below), log_probability_above(0.85, 0.02, 0.9));
  EXPECT_GT(log_goal_improvement(goal, large, 0.85, 0.02, below), log_goal_improvement(goal, small, 0.7, 0.02, below));
  EXPECT_EQ(log_goal_improvement(goal, large, 0.95, 0.02, -100.0), -kInfinity) << "larger than the incumbent";
  EXPECT_EQ(log_goal_improvement({}, small, 0.5, 0.1, std::nullopt), score({}, 0.7, small.bits, small.cost));
}

TEST(Acquisition, HypervolumeByHand) {
  const FrontPoint reference{10, 0.1};
  const std::vector<FrontPoint> front =
      front_of({{4, 0.5}, {2, 0.3}, {5, 0.45}, {4, 0.4}, {7, 0.9}, {11, 1.0}, {1, 0.1}}, reference);
  ASSERT_EQ(front.size(), 3u);
  EXPECT_EQ(front[1].bytes, 4);
  EXPECT_NEAR(hypervolume(front, reference), 2 * 0.2 + 3 * 0.4 + 3 * 0.8, 1e-14);
  EXPECT_EQ(hypervolume({}, reference), 0.0);
}

TEST(Acquisition, HypervolumeImprovementMatchesMonteCarlo) {
  const FrontPoint reference{10, 0.1};
  const std::vector<FrontPoint> points = {{2, 0.3}, {4, 0.5}, {7, 0.9}};
  const std::vector<FrontPoint> front = front_of(points, reference);
  for (const double bytes : {1.0, 2.0, 3.0, 4.5, 7.0, 9.0, 10.0, 12.0})
    for (const double mean : {0.05, 0.45, 0.95}) {
      const double sd = 0.2;
      Rng rng(static_cast<uint64_t>(100 * bytes + 10 * mean), Purpose::Test);
      double sum = 0.0;
      const int draws = 100000;
      for (int i = 0; i < draws; ++i) {
        std::vector<FrontPoint> more = points;
        more.push_back({bytes, mean + sd * rng.normal()});
        sum += hypervolume(front_of(more, reference), reference) - hypervolume(front, reference);
      }
      const double value = std::exp(log_hypervolume_improvement(mean, sd, bytes, front, reference));
      EXPECT_NEAR(value, sum / draws, 0.02 * sum / draws + 2e-3) << bytes << " " << mean;
    }
  EXPECT_EQ(log_hypervolume_improvement(0.9, 0.2, 12, front, reference), -kInfinity);
}

TEST(Acquisition, QuantilesOfTheHighestMatchMonteCarlo) {
  const std::vector<double> mean = {0.5, 0.6, 0.3}, sd = {0.1, 0.02, 0.3};
  Rng rng(8, Purpose::Test);
  std::vector<double> highest;
  for (int i = 0; i < 200000; ++i) {
    double best = -kInfinity;
    for (size_t j = 0; j < mean.size(); ++j) best = std::max(best, mean[j] + sd[j] * rng.normal());
    highest.push_back(best);
  }
  std::sort(highest.begin(), highest.end());
  const std::vector<double> quantiles = quantiles_of_highest(mean, sd, 4);
  for (size_t q = 0; q < 4; ++q)
    EXPECT_NEAR(quantiles[q], highest[static_cast<size_t>((static_cast<double>(q) + 0.5) / 4 * 200000)], 3e-3) << q;
  EXPECT_NEAR(quantiles_of_highest({1.0}, {1e-9}, 1)[0], 1.0, 1e-8);
}

TEST(Acquisition, MaxValueInformation) {
  // At a ceiling of the mean itself the variance of what is left is 1 - 2/pi.
  EXPECT_NEAR(max_value_information(0, 1, 0.5, {0.0}), -0.5 * std::log(1 - 0.5 * 2 / M_PI), 1e-12);
  EXPECT_EQ(max_value_information(0, 1, 0.0, {0.3}), 0.0);
  EXPECT_NEAR(max_value_information(0, 1, 0.9, {40.0}), 0.0, 1e-12);
  // Far below the ceiling's other side almost all of the variance goes; continuous where the formula changes.
  EXPECT_NEAR(max_value_information(0, 1, 0.5, {-1e4}), -0.5 * std::log(0.5), 1e-6);
  EXPECT_NEAR(max_value_information(0, 1, 0.5, {-1.0 - 1e-9}), max_value_information(0, 1, 0.5, {-1.0 + 1e-9}), 1e-8);
  EXPECT_LT(max_value_information(0, 1, 0.3, {1.0}), max_value_information(0, 1, 0.6, {1.0}));
}

bool dominates(double a0, double b0, double a1, double b1) { return a0 <= a1 && b0 <= b1 && (a0 < a1 || b0 < b1); }

TEST(Acquisition, RanksMatchBruteForce) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Rng rng(seed, Purpose::Test);
    std::vector<double> a, b;
    for (int i = 0; i < 60; ++i) {
      a.push_back(static_cast<double>(rng.below(12)));
      b.push_back(static_cast<double>(rng.below(12)));
    }
    std::vector<int> expected(a.size(), -1);
    size_t left = a.size();
    for (int rank = 0; left > 0; ++rank) {
      std::vector<size_t> front;
      for (size_t i = 0; i < a.size(); ++i) {
        bool beaten = expected[i] >= 0;
        for (size_t j = 0; j < a.size() && !beaten; ++j) beaten = expected[j] < 0 && dominates(a[j], b[j], a[i], b[i]);
        if (!beaten) front.push_back(i);
      }
      for (const size_t i : front) expected[i] = rank;
      left -= front.size();
    }
    EXPECT_EQ(nondominated_ranks(a, b), expected) << seed;
  }
  EXPECT_TRUE(nondominated_ranks({}, {}).empty());
}

TEST(Acquisition, CrowdingByHand) {
  const std::vector<double> a = {0, 1, 4, 10, 20}, b = {10, 6, 5, 0, 30};
  const std::vector<double> crowding = crowding_distances(a, b, nondominated_ranks(a, b));
  EXPECT_EQ(crowding[0], kInfinity);
  EXPECT_NEAR(crowding[1], 4.0 / 10 + 5.0 / 10, 1e-14);
  EXPECT_NEAR(crowding[2], 9.0 / 10 + 6.0 / 10, 1e-14);
  EXPECT_EQ(crowding[3], kInfinity);
  EXPECT_EQ(crowding[4], kInfinity) << "alone in its rank";
}

}  // namespace
}  // namespace kronbit::search
