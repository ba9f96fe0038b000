// Each strategy without a model by its own rule.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "search/strategies/evolution.h"
#include "search/strategies/halving.h"
#include "strategies_support.h"

namespace kronbit::search {
namespace {

TEST(Random, SeedsDiffer) {
  ExplorerOptions options = options_for("random");
  Explorer a(few(), {}, options);
  options.strategy.seed = 6;
  Explorer b(few(), {}, options);
  const auto order = what(drive(a)), other = what(drive(b));
  EXPECT_NE(order, other);
  EXPECT_THAT(order, testing::UnorderedElementsAreArray(other));
}

TEST(Uniform, FallsFromTheLimitAndKeepsToTheRules) {
  std::vector<Candidate> candidates = few();
  ExplorerOptions options = options_for("uniform");
  options.strategy.goal.limits.max_average_bits = 5.0;
  options.strategy.make_candidate = fake_candidate;
  Explorer explorer(candidates, {}, options);
  drive(explorer);
  EXPECT_THAT(bits_run(explorer), testing::ElementsAre(Bits(4, 5), Bits(4, 4), Bits(4, 3), Bits(4, 2), Bits(4, 1)));
  Constraints constraints;
  constraints.add_fix("layer0=8");
  constraints.bits_max = 3;
  options.strategy.rules = LayerRules(constraints, {"layer0", "layer1", "layer2", "layer3"});
  options.strategy.goal.limits = {};
  Explorer fixed(candidates, {}, options);
  drive(fixed);
  EXPECT_THAT(bits_run(fixed), testing::ElementsAre(Bits{8, 3, 3, 3}, Bits{8, 2, 2, 2}, Bits{8, 1, 1, 1}));
}

TEST(Halving, BracketsAsPublished) {
  // HpBandSter's rounding for four tasks and a factor of three.
  EXPECT_EQ(halving_bracket(4, 3, 3), (std::vector<int>{27, 9, 3, 1}));
  EXPECT_EQ(halving_bracket(4, 2, 3), (std::vector<int>{9, 3, 1}));
  EXPECT_EQ(halving_bracket(4, 1, 3), (std::vector<int>{6, 2}));
  EXPECT_EQ(halving_bracket(4, 0, 3), (std::vector<int>{4}));
  EXPECT_EQ(halving_bracket(1, 0, 3), (std::vector<int>{1}));
  EXPECT_EQ(halving_factor({1, 3, 9}), 3);
  EXPECT_EQ(halving_factor({0.0025, 0.069, 0.135, 1}), 4);
  EXPECT_EQ(halving_factor({2}), 3);
}

TEST(Halving, PromotesTheBestOfEachRung) {
  // Three tasks, factor three: 9 candidates, the 3 best of them, the best of these; then 3 (Hyperband: s = 1) and 1.
  for (const std::string_view name : {"halving", "hyperband"}) {
    ExplorerOptions options = options_for(name, {1, 3, 9});
    options.strategy.goal.by = By::Accuracy;
    Explorer explorer(fake_candidates(4), {7}, options);
    std::vector<Plan> plans;
    for (int round = 0; round < 5; ++round) {
      plans.push_back(explorer.plan_round());
      explorer.begin_round(plans.back());
      // The second run of the first rung fails: it leaves the bracket.
      while (!explorer.round_finished()) tell_next(explorer, round == 0 && explorer.waiting().size() == 8);
    }
    ASSERT_EQ(plans[0].runs.size(), 10u);
    EXPECT_EQ(plans[0].runs[0].reason, Reason::Try);
    std::vector<std::pair<double, size_t>> rung;
    for (size_t r = 1; r < 10; ++r) {
      EXPECT_EQ(plans[0].runs[r].task, 0);
      EXPECT_NE(plans[0].runs[r].candidate, 7u);
      if (r != 2) {
        const size_t c = plans[0].runs[r].candidate;
        rung.push_back({-fake_accuracy(explorer.candidates()[c].bits, 0), c});
      }
    }
    std::sort(rung.begin(), rung.end());
    EXPECT_EQ(what(plans[1].runs),
              (std::vector<std::pair<size_t, int>>{{rung[0].second, 1}, {rung[1].second, 1}, {rung[2].second, 1}}));
    EXPECT_EQ(what(plans[2].runs), (std::vector<std::pair<size_t, int>>{{rung[0].second, 2}}));
    const bool in_turn = name == "hyperband";
    ASSERT_EQ(plans[3].runs.size(), in_turn ? 3u : 9u);
    std::set<size_t> seen;
    for (const PlannedRun& run : plans[0].runs) seen.insert(run.candidate);
    for (const PlannedRun& run : plans[3].runs) {
      EXPECT_EQ(run.task, in_turn ? 1 : 0);
      EXPECT_FALSE(seen.contains(run.candidate)) << "drawn again";
    }
    EXPECT_EQ(plans[4].runs.size(), in_turn ? 1u : 3u);
  }
}

TEST(Halving, LeftoversGoOnDeepestAndBestFirst) {
  for (const std::string_view name : {"halving", "hyperband"}) {
    ExplorerOptions options = options_for(name, {1, 3, 9});
    Explorer explorer(few(), {}, options);
    bool over = false;
    size_t leftovers = 0;
    while (true) {
      const Plan plan = explorer.plan_round();
      if (plan.runs.empty()) break;
      std::pair<int, double> before{100, 0.0};
      for (const PlannedRun& run : plan.runs) {
        const std::vector<double>& known = explorer.known(run.candidate);
        over = over || (run.task == 2 && known.size() == 1);  // no bracket skips a task
        if (!over) continue;
        ++leftovers;
        const std::pair<int, double> now{explorer.history().depth(run.candidate),
                                         effective_accuracy(known.back(), explorer.candidates()[run.candidate].bits)};
        EXPECT_LE(now, before);
        before = now;
      }
      explorer.begin_round(plan);
      while (!explorer.round_finished()) tell_next(explorer);
    }
    EXPECT_GT(leftovers, 0u) << name;
  }
}

TEST(Evolution, ChildrenLeaveTheListAndKeepToRulesAndLimits) {
  Constraints constraints;
  constraints.add_fix("layer0=6");
  constraints.add_tie("layer1,layer2");
  constraints.bits_min = 2;
  constraints.bits_max = 5;
  std::vector<std::string> names;
  for (int l = 0; l < 8; ++l) names.push_back("layer" + std::to_string(l));
  const LayerRules rules(constraints, names);
  for (const std::string_view name : {"nsga2", "evolution"}) {
    SpaceOptions space;
    space.layers = names;
    space.constraints = constraints;
    space.cost = fake_cost;
    const std::vector<Candidate> listed = make_candidates(space);
    ExplorerOptions options = options_for(name, {1});
    options.strategy.goal.limits.max_average_bits = 4.2;
    options.strategy.make_candidate = fake_candidate;
    options.strategy.rules = rules;
    Explorer explorer(listed, {}, options);
    drive(explorer, 60);
    EXPECT_GT(explorer.candidates().size(), listed.size() + 10) << name;
    std::set<Bits> seen;
    for (const Bits& bits : bits_run(explorer)) {
      EXPECT_EQ(rules.apply(bits), bits);
      EXPECT_LE(fake_cost(bits).average_bits, 4.2);
      EXPECT_TRUE(seen.insert(bits).second) << format_bits(bits);
    }
  }
}

TEST(Evolution, MutatesAmongTheAllowedBits) {
  // All parents alike, so that what differs was mutated: half a step up or down, half drawn among 2, 4 and 8.
  Constraints constraints;
  constraints.set_choices("2,4,8");
  for (const std::string_view name : {"nsga2", "evolution"})
    for (const int from : {4, 8}) {
      StrategyOptions options = options_for(name, {1}).strategy;
      options.round = 1;
      options.make_candidate = fake_candidate;
      options.rules = LayerRules(constraints, {"layer0", "layer1", "layer2", "layer3"});
      History history;
      history.candidates = {fake_candidate(Bits(4, from))};
      history.costs = {1};
      history.known = {{0.5}};
      history.divergences = {{}};
      history.dropped = {false};
      history.told.assign(kPopulation, {{0, 0, 0, Reason::Strategy, 0.0}, true});
      history.rounds = 1;
      double two = 0.0, all = 0.0;
      for (options.seed = 0; options.seed < 3000; ++options.seed) {
        const Plan plan = make_strategy(options)->plan(history);
        ASSERT_EQ(plan.added.size(), 1u);
        for (const int bits : plan.added[0].bits) {
          ASSERT_TRUE(bits == 2 || bits == 4 || bits == 8);
          two += bits == 2;
          all += bits != from;
        }
      }
      // From 4 one step leads to 2 or 8; from 8 only to 4, and 2 has to be drawn: 1/2 1/3 of 1/4 + 1/2 2/3.
      EXPECT_NEAR(two / all, from == 4 ? 1.0 / 2 : 2.0 / 7, 0.05) << name;
    }
}

TEST(Evolution, LeavesAListOfPoorCandidates) {
  std::vector<Candidate> large;
  double listed = 0.0;
  for (const Candidate& candidate : fake_candidates())
    if (candidate.cost.average_bits >= 5.0) {
      large.push_back(candidate);
      listed = std::max(listed, effective_accuracy(fake_accuracy(candidate.bits, 0), candidate.bits));
    }
  for (const std::string_view name : {"nsga2", "evolution"}) {
    ExplorerOptions options = options_for(name, {1});
    options.strategy.make_candidate = fake_candidate;
    Explorer explorer(large, {}, options);
    drive(explorer, name == "nsga2" ? 240 : 120);  // one spreads over a front, the other has one goal
    double best = 0.0;
    for (const Bits& bits : bits_run(explorer)) best = std::max(best, effective_accuracy(fake_accuracy(bits, 0), bits));
    EXPECT_GT(best, listed + 0.01) << name;
  }
}

/// One layer of eight bits and two more that are worse in both bytes and error.
std::vector<Candidate> ladder() {
  std::vector<Candidate> candidates;
  for (int b = 1; b <= 8; ++b) candidates.push_back({{b}, {0.1 * b}, {100.0 * b, 0, 0, 0}, -1.0 * b});
  candidates.push_back({{4}, {0.4}, {450, 0, 0, 0}, -3.5});
  candidates.back().bits = {4};
  candidates.push_back({{5}, {0.5}, {550, 0, 0, 0}, -4.5});
  return candidates;
}

TEST(SensitivityStrategy, HalvesTheGapsNextToTheBest) {
  ExplorerOptions options = options_for("sensitivity", {1});
  options.strategy.round = 1;
  options.strategy.goal.by = By::Size;
  options.strategy.goal.min_accuracy = 0.6;
  Explorer explorer(ladder(), {}, options);
  std::vector<size_t> order;
  for (int run = 0; run < 10; ++run) {
    explorer.begin_round(explorer.plan_round());
    order.push_back(explorer.first_waiting()->candidate);
    explorer.tell({0.125 * explorer.candidates()[order.back()].bits[0]});  // 5 bits are enough
  }
  // 5 bits are the best; its gaps: 1..4, then 6..8 (as the wider one), 4 and 6; that of 7: 8; below the floor: 2 and 1.
  EXPECT_THAT(order, testing::ElementsAre(4u, 2u, 6u, 3u, 5u, 7u, 1u, 0u, 9u, 8u));
  EXPECT_TRUE(explorer.plan_round().runs.empty());
}

TEST(SensitivityStrategy, AccuracyStartsAtTheLimit) {
  ExplorerOptions options = options_for("sensitivity", {1, 2});
  options.strategy.goal.by = By::Accuracy;
  options.strategy.goal.limits.max_bytes = 560;
  Explorer explorer(ladder(), {}, options);
  const std::vector<std::pair<size_t, int>> runs = what(drive(explorer));
  EXPECT_THAT(
      runs, testing::ElementsAre(testing::Pair(4u, 1), testing::Pair(9u, 1), testing::Pair(3u, 1), testing::Pair(8u, 1),
                                 testing::Pair(2u, 1), testing::Pair(1u, 1), testing::Pair(0u, 1)));
  std::vector<Candidate> unknown = ladder();
  unknown[3].log_error = std::nan("");
  EXPECT_THROW(Explorer(unknown, {}, options).plan_round(), InputError);
}

TEST(Evolution, LearnsFromTenRuns) {
  for (const std::string_view name : {"nsga2", "evolution"}) {
    Explorer explorer(fake_candidates(), {}, options_for(name));
    EXPECT_EQ(explorer.plan_round().runs.size(), 10u) << name;
    drive(explorer, 10);
    EXPECT_EQ(explorer.plan_round().runs.size(), 4u) << name;
  }
}

}  // namespace
}  // namespace kronbit::search
