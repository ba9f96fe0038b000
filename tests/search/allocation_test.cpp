// Allocation by a table of errors, against all bit lists of small networks.
#include "search/allocation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tensor/base/error.h"
#include "tensor/rng.h"
#include "tests/tensor/message_of.h"

namespace kronbit::search {
namespace {

/// Layers of these numbers of weights; bytes with one multiplier of two bytes for 32 weights, as in packed files.
CostOf cost_of(const std::vector<double>& weights) {
  return [weights](const Bits& bits) {
    Cost cost;
    double all = 0.0;
    for (size_t l = 0; l < bits.size(); ++l) {
      cost.bytes += std::ceil(weights[l] * bits[l] / 8) + std::ceil(weights[l] / 32) * 2;
      cost.bops += 100 * weights[l] * bits[l] * bits[l];
      cost.average_bits += weights[l] * bits[l];
      cost.milliseconds += 1e-3 * std::sqrt(weights[l]) * (3 + bits[l]);
      all += weights[l];
    }
    cost.average_bits /= all;
    return cost;
  };
}

LayerRules rules_of(size_t layers, const Constraints& constraints = {}) {
  std::vector<std::string> names;
  for (size_t l = 0; l < layers; ++l) names.push_back(std::string(1, static_cast<char>('a' + l)));
  return LayerRules(constraints, names);
}

/// Errors that fall about fourfold per bit; with `rough` not even monotone.
AllocationProblem random_problem(size_t layers, uint64_t seed, bool rough, const Constraints& constraints = {}) {
  Rng rng(seed, Purpose::Test);
  std::vector<double> weights;
  ErrorTable errors(layers);
  for (std::vector<double>& row : errors) {
    weights.push_back(std::round(std::exp(rng.uniform(4, 8))));
    const double scale = std::exp(rng.uniform(-3, 3)), fall = rng.uniform(1.0, 2.0);
    for (int b = kMinBits; b <= kMaxBits; ++b)
      row.push_back(scale * std::exp(-fall * b + (rough ? rng.uniform(-2, 2) : rng.uniform(-0.2, 0.2))));
  }
  return {.errors = errors, .cost = cost_of(weights), .rules = rules_of(layers, constraints)};
}

double error_of(const ErrorTable& errors, const Bits& bits) {
  double sum = 0.0;
  for (size_t l = 0; l < bits.size(); ++l) sum += errors[l][static_cast<size_t>(bits[l] - 1)];
  return sum;
}

/// Every bit list that the rules leave as it is.
std::vector<Bits> all_lists(const AllocationProblem& p) {
  std::vector<Bits> lists;
  Bits bits(p.errors.size(), kMinBits);
  for (;;) {
    if (p.rules.apply(bits) == bits) lists.push_back(bits);
    size_t l = 0;
    while (l < bits.size() && bits[l] == kMaxBits) bits[l++] = kMinBits;
    if (l == bits.size()) return lists;
    ++bits[l];
  }
}

double least_error(const AllocationProblem& p, const std::vector<Bits>& lists, const Limits& limits) {
  double least = 1e300;
  for (const Bits& bits : lists)
    if (limits.allow(p.cost(bits))) least = std::min(least, error_of(p.errors, bits));
  return least;
}

TEST(LogError, SumsRowsAndSurvivesZero) {
  const ErrorTable errors = {{8, 7, 6, 5, 4, 3, 2, 0}, {1, .5, .25, .125, 0, 0, 0, 0}};
  EXPECT_DOUBLE_EQ(log_error(errors, {3, 2}), std::log(6.5));
  EXPECT_DOUBLE_EQ(log_error(errors, {8, 8}), std::log(1e-300));
}

TEST(Allocation, FrontIsTheLowerConvexHullOfAllLists) {
  for (uint64_t seed = 0; seed < 12; ++seed) {
    SCOPED_TRACE(seed);
    const AllocationProblem p = random_problem(4, seed, seed % 2 == 1);
    const std::vector<Bits> lists = all_lists(p);
    const std::vector<Allocation> front = allocation_front(p);
    ASSERT_GE(front.size(), 2u);
    EXPECT_NEAR(std::exp(front.back().log_error), least_error(p, lists, {}), 1e-12);
    for (size_t i = 1; i < front.size(); ++i) {
      const double x0 = front[i - 1].cost.bytes, y0 = std::exp(front[i - 1].log_error), x1 = front[i].cost.bytes,
                   y1 = std::exp(front[i].log_error);
      ASSERT_LT(x0, x1);
      ASSERT_GT(y0, y1);
      for (const Bits& bits : lists) {  // no list below the line through two neighbours
        const double x = p.cost(bits).bytes, line = y0 + (y1 - y0) * (x - x0) / (x1 - x0);
        ASSERT_GE(error_of(p.errors, bits), line - 1e-9 * std::abs(y0)) << format_bits(bits);
      }
    }
  }
}

TEST(Allocation, IsOptimalWithinOneLimit) {
  for (uint64_t seed = 0; seed < 8; ++seed) {
    SCOPED_TRACE(seed);
    AllocationProblem p = random_problem(seed % 2 == 0 ? 3 : 4, 100 + seed, seed >= 4);
    const std::vector<Bits> lists = all_lists(p);
    const std::vector<Allocation> front = allocation_front(p);
    std::vector<double> limits;
    for (const Allocation& point : front) limits.push_back(point.cost.bytes);
    for (int i = 1; i < 40; ++i)
      limits.push_back(front.front().cost.bytes + (front.back().cost.bytes - front.front().cost.bytes) * i / 40.0);
    for (const double limit : limits) {
      p.limits.max_bytes = limit;
      const Allocation found = allocate(p);
      ASSERT_LE(found.cost.bytes, p.limits.max_bytes);
      ASSERT_EQ(found.cost.bytes, p.cost(found.bits).bytes);
      ASSERT_NEAR(found.log_error, std::log(least_error(p, lists, p.limits)), 1e-9);
    }
  }
}

TEST(Allocation, IsOptimalWhereMoreBitsMayTakeLessTime) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed, Purpose::Test);
    std::vector<std::vector<double>> times(4);
    ErrorTable errors(4);
    for (size_t l = 0; l < 4; ++l) {
      const double scale = std::exp(rng.uniform(-3, 3));
      for (int b = kMinBits; b <= kMaxBits; ++b) {
        errors[l].push_back(scale * std::exp(-1.3 * b));
        times[l].push_back((10 + b) * (1 + rng.uniform(-0.15, 0.15)));
      }
    }
    const CostOf cost = [&](const Bits& bits) {
      Cost all;
      for (size_t l = 0; l < bits.size(); ++l) all.milliseconds += times[l][static_cast<size_t>(bits[l] - 1)];
      return all;
    };
    AllocationProblem p{.errors = errors, .cost = cost, .rules = rules_of(4)};
    const std::vector<Bits> lists = all_lists(p);
    for (int limit = 36; limit < 60; ++limit) {
      p.limits.max_milliseconds = limit;
      const double least = least_error(p, lists, p.limits);
      const std::optional<Allocation> found = find_allocation(p);
      ASSERT_EQ(found.has_value(), least < 1e300);
      if (!found) continue;
      ASSERT_LE(found->cost.milliseconds, limit);
      ASSERT_NEAR(found->log_error, std::log(least), 1e-9) << limit;
    }
  }
}

TEST(Allocation, IsOptimalWithinSeveralLimits) {
  int limits_seen = 0;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    SCOPED_TRACE(seed);
    AllocationProblem p = random_problem(4, 100 + seed, seed >= 4);
    const std::vector<Bits> lists = all_lists(p);
    const Cost most = p.cost(Bits(4, 8));
    for (int i = 6; i < 40; ++i) {
      p.limits = {.max_bytes = most.bytes * i / 40.0, .max_bops = most.bops * (45 - i) / 40.0};
      if (i % 3 == 0) p.limits.max_average_bits = 2 + 5 * (i % 7) / 6.0;
      const std::optional<Allocation> found = find_allocation(p);
      const double least = least_error(p, lists, p.limits);
      ASSERT_EQ(found.has_value(), least < 1e300);
      if (!found) continue;
      ASSERT_TRUE(p.limits.allow(p.cost(found->bits)));
      ASSERT_NEAR(found->log_error, std::log(least), 1e-9);
      ++limits_seen;
    }
  }
  ASSERT_GT(limits_seen, 100);
}

TEST(Allocation, IsOptimalWithinSizeAndTimeWhereTheyAreAtOdds) {
  int feasible = 0;
  for (uint64_t seed = 0; seed < 30; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed, Purpose::Test);
    AllocationProblem p = random_problem(3, 700 + seed, false);
    std::vector<std::vector<double>> times(3);  // fewer bits may take more time
    for (auto& row : times)
      for (int b = kMinBits; b <= kMaxBits; ++b) row.push_back(rng.uniform(1.0, 10.0));
    p.cost = [inner = p.cost, times](const Bits& bits) {
      Cost cost = inner(bits);
      for (size_t l = 0; l < bits.size(); ++l) cost.milliseconds += times[l][static_cast<size_t>(bits[l] - kMinBits)];
      return cost;
    };
    const std::vector<Bits> lists = all_lists(p);
    const double most = p.cost(Bits(3, 8)).bytes;
    for (int i = 1; i <= 12; ++i) {
      for (const double time : {6.0, 9.0, 14.0, 20.0}) {
        p.limits = {.max_bytes = most * i / 12.0, .max_milliseconds = time};
        const std::optional<Allocation> found = find_allocation(p);
        const double least = least_error(p, lists, p.limits);
        ASSERT_EQ(found.has_value(), least < 1e300) << i << " " << time;
        if (!found) continue;
        ++feasible;
        ASSERT_TRUE(p.limits.allow(p.cost(found->bits)));
        ASSERT_NEAR(found->log_error, std::log(least), 1e-9) << i << " " << time;
      }
    }
  }
  EXPECT_GT(feasible, 300);
}

TEST(Allocation, ManyLayersMissLittle) {
  // 64 layers: more undominated sums than are kept. No list lies below the hull, so the line between two of its
  // neighbours bounds the optimum from below. (At the cheap end a single step is wider than that.)
  AllocationProblem p = random_problem(64, 600, false);
  const std::vector<Allocation> front = allocation_front(p);
  for (size_t i = 21; i < front.size(); i += 40) {
    const Allocation &low = front[i - 1], &high = front[i];
    p.limits.max_bytes = 0.5 * (low.cost.bytes + high.cost.bytes);
    const double error = std::exp(allocate(p).log_error);
    EXPECT_LE(error, 1.01 * 0.5 * (std::exp(low.log_error) + std::exp(high.log_error)));
    EXPECT_LT(error, std::exp(low.log_error));
  }
}

TEST(Allocation, NeverWorseThanTheUniformListOfTheSameSize) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    AllocationProblem p = random_problem(19, 200 + seed, seed % 2 == 1);
    for (int b = kMinBits; b <= kMaxBits; ++b) {
      const Bits uniform(19, b);
      p.limits = {.max_bytes = p.cost(uniform).bytes};
      const Allocation found = allocate(p);
      EXPECT_LE(found.log_error, log_error(p.errors, uniform)) << seed << " " << b;
      EXPECT_LE(found.cost.bytes, p.limits.max_bytes);
    }
  }
}

TEST(Allocation, KeepsEveryKindOfLimit) {
  AllocationProblem p = random_problem(5, 300, false);
  const Cost cost = p.cost(Bits(5, 3));
  for (const Limits& limits :
       {Limits{.max_average_bits = 3.0}, Limits{.max_bops = cost.bops}, Limits{.max_milliseconds = cost.milliseconds},
        Limits{.max_bytes = cost.bytes * 1.1, .max_bops = cost.bops * 0.8, .max_milliseconds = cost.milliseconds}}) {
    p.limits = limits;
    const Allocation found = allocate(p);
    EXPECT_TRUE(limits.allow(p.cost(found.bits)));
    for (const Allocation& a : allocation_front(p)) EXPECT_TRUE(limits.allow(a.cost));
    // Nothing is left lying about: no layer can have less error by one bit.
    for (size_t l = 0; l < 5; ++l) {
      Bits more = found.bits;
      if (++more[l] > kMaxBits || log_error(p.errors, more) >= found.log_error) continue;
      EXPECT_FALSE(limits.allow(p.cost(more))) << format_bits(more);
    }
  }
  p.limits = {};
  EXPECT_DOUBLE_EQ(allocate(p).log_error, allocation_front(p).back().log_error);
}

TEST(Allocation, KeepsTheRules) {
  Constraints constraints;
  constraints.bits_min = 2;
  constraints.bits_max = 6;
  constraints.add_fix("a=8");
  constraints.add_tie("c,e");
  for (uint64_t seed = 0; seed < 5; ++seed) {
    AllocationProblem p = random_problem(5, 400 + seed, seed >= 3, constraints);
    const std::vector<Bits> lists = all_lists(p);
    ASSERT_EQ(lists.size(), 125u);
    std::vector<Allocation> all = allocation_front(p);
    const double least = all.front().cost.bytes, most = all.back().cost.bytes;
    for (size_t i = all.size(); i-- > 0;) {
      p.limits.max_bytes = all[i].cost.bytes;
      EXPECT_NEAR(allocate(p).log_error, std::log(least_error(p, lists, p.limits)), 1e-12);
    }
    for (int i = 0; i <= 20; ++i) {
      p.limits.max_bytes = least + (most - least) * i / 20.0;
      all.push_back(allocate(p));
    }
    for (const Allocation& a : all) {
      EXPECT_EQ(a.bits[0], 8);
      EXPECT_EQ(a.bits[2], a.bits[4]);
      EXPECT_EQ(p.rules.apply(a.bits), a.bits);
    }
    p.limits.max_bytes = least - 1;
    EXPECT_THAT(message_of([&] { allocate(p); }), testing::HasSubstr("bytes"));
    EXPECT_TRUE(allocation_front(p).empty());
  }
}

TEST(Allocation, AnErrorTableThatDoesNotFitIsOurMistake) {
  AllocationProblem p = random_problem(3, 500, false);
  p.errors[1].pop_back();
  EXPECT_THROW(allocate(p), InternalError);
  p.errors[1].push_back(-1.0);
  EXPECT_THROW(allocation_front(p), InternalError);
}

TEST(LayerRulesGroups, TiesAndSingleLayers) {
  Constraints constraints;
  constraints.add_tie("d,b");
  constraints.add_fix("c=1");
  EXPECT_EQ(rules_of(5, constraints).groups(), (std::vector<std::vector<size_t>>{{0}, {1, 3}, {2}, {4}}));
}

}  // namespace
}  // namespace kronbit::search
