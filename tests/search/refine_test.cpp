// Leaving the curve: neighbours, what is picked among them, and a journal with configurations that no curve draws.
#include "search/strategies/refine.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

#include "fake.h"
#include "search/explorer.h"
#include "tensor/base/error.h"

namespace kronbit::search {
namespace {

LayerRules rules_for(int64_t layers, const Constraints& constraints = {}) {
  std::vector<std::string> names;
  for (int64_t i = 0; i < layers; ++i) names.push_back("layer" + std::to_string(i));
  return {constraints, names};
}

ExplorerOptions refining(int64_t layers, const Limits& limits = {}) {
  ExplorerOptions options;
  options.costs = {1, 4};
  options.strategy.seed = 5;
  options.strategy.refine = true;
  options.strategy.model.starts = 1;
  options.strategy.goal.limits = limits;
  options.strategy.rules = rules_for(layers);
  options.strategy.make_candidate = [](const Bits& bits) {
    return Candidate{bits, Curve::bezier(1).fit(bits), fake_cost(bits)};
  };
  return options;
}

TEST(Refine, NeighboursAreOneStepOrOneSwapAway) {
  const Bits bits = {1, 4, 8};
  std::set<Bits> expected;
  for (int a = -1; a <= 1; ++a)
    for (int b = -1; b <= 1; ++b)
      for (int c = -1; c <= 1; ++c) {
        const int steps = std::abs(a) + std::abs(b) + std::abs(c);
        const Bits other = {1 + a, 4 + b, 8 + c};
        const bool allowed = other[0] >= 1 && other[2] <= 8;
        if (allowed && (steps == 1 || (steps == 2 && a + b + c == 0))) expected.insert(other);
      }
  const std::vector<Bits> found = neighbours(bits, rules_for(3));
  EXPECT_EQ(std::set<Bits>(found.begin(), found.end()), expected);
  EXPECT_EQ(found.size(), expected.size());
}

TEST(Refine, NeighboursKeepToTheRules) {
  Constraints constraints;
  constraints.add_fix("layer0=8");
  constraints.add_tie("layer1,layer2");
  constraints.set_choices("2,4,8");
  const LayerRules rules = rules_for(4, constraints);
  const std::vector<Bits> found = neighbours({8, 4, 4, 2}, rules);
  const std::set<Bits> expected = {{8, 2, 2, 2}, {8, 8, 8, 2}, {8, 4, 4, 4}, {8, 2, 2, 4}};
  EXPECT_EQ(std::set<Bits>(found.begin(), found.end()), expected);
  for (const Bits& bits : found) EXPECT_EQ(rules.apply(bits), bits);
}

TEST(Refine, LeavesTheListAndFindsABetterConfiguration) {
  // A layer in the middle that minds nothing: no straight line can give it, and only it, one bit.
  const auto accuracy = [](const Bits& bits) {
    double damage = 0.0;
    for (size_t i = 0; i < bits.size(); ++i) damage += i == 3 ? 0.0 : std::pow(3.0, 1.0 - bits[i]);
    return 0.1 + 0.82 * std::exp(-0.2 * damage);
  };
  const std::vector<Candidate> list = fake_candidates();
  double best_of_list = 0.0, found = 0.0;
  for (const Candidate& c : list) best_of_list = std::max(best_of_list, effective_accuracy(accuracy(c.bits), c.bits));
  Explorer explorer(list, {}, refining(8));
  size_t steps = 0, told = 0;
  while (told < 60) {
    explorer.begin_round(explorer.plan_round());
    while (const PlannedRun* run = explorer.first_waiting()) {
      const Bits& bits = explorer.candidates()[run->candidate].bits;
      steps += run->reason == Reason::Refine;
      if (run->task == 1) found = std::max(found, effective_accuracy(accuracy(bits), bits));
      explorer.tell(std::vector<double>(static_cast<size_t>(run->task) + 1, accuracy(bits)));
      ++told;
    }
  }
  EXPECT_GT(steps, 5u);
  EXPECT_GT(explorer.candidates().size(), list.size());
  EXPECT_GT(found, best_of_list);
}

TEST(Refine, StaysWithinTheLimits) {
  const Limits limits = {.max_bytes = 2400};
  Explorer explorer(fake_candidates(), {}, refining(8, limits));
  for (size_t told = 0; told < 40;) {
    explorer.begin_round(explorer.plan_round());
    for (const PlannedRun* run = explorer.first_waiting(); run != nullptr; run = explorer.first_waiting(), ++told) {
      const Candidate& candidate = explorer.candidates()[run->candidate];
      if (run->reason == Reason::Refine) {
        EXPECT_LE(candidate.cost.bytes, 2400);
      }
      std::vector<double> accuracies;
      for (int task = 0; task <= run->task; ++task) accuracies.push_back(fake_accuracy(candidate.bits, task));
      explorer.tell(accuracies);
    }
  }
}

TEST(Refine, AResumedRunKnowsWhatWasAdded) {
  const auto spec = [](const std::filesystem::path& folder, const std::string& budget) {
    SearchSpec s = fake_spec(folder, true, budget);
    s.explorer.strategy.refine = true;
    s.explorer.strategy.rules = rules_for(8);
    s.explorer.strategy.make_candidate = refining(8).strategy.make_candidate;
    return s;
  };
  const std::filesystem::path whole = fresh_folder("refine-whole"), parts = fresh_folder("refine-parts");
  FakeEvaluator evaluator;
  SearchRun unbroken(spec(whole, "30evals"));
  unbroken.explore(evaluator);
  for (const char* budget : {"14evals", "19evals", "30evals"}) {
    SearchRun run(spec(parts, budget));
    run.explore(evaluator);
  }
  SearchRun again(spec(parts, "30evals"));
  ASSERT_GT(unbroken.explorer().candidates().size(), fake_candidates().size());
  ASSERT_EQ(again.explorer().candidates().size(), unbroken.explorer().candidates().size());
  for (size_t c = 0; c < again.explorer().candidates().size(); ++c) {
    EXPECT_EQ(again.explorer().candidates()[c].bits, unbroken.explorer().candidates()[c].bits);
    EXPECT_EQ(again.explorer().known(c), unbroken.explorer().known(c));
  }
}

TEST(Constraints, OnlyTheChosenBits) {
  Constraints constraints;
  constraints.set_choices("2,4,8");
  EXPECT_EQ(rules_for(5, constraints).apply({1, 3, 5, 6, 7}), (Bits{2, 4, 4, 8, 8}));
  constraints.bits_max = 4;
  EXPECT_EQ(rules_for(5, constraints).apply({1, 3, 5, 6, 7}), (Bits{2, 4, 4, 4, 4}));
  constraints.bits_min = constraints.bits_max = 3;
  EXPECT_THROW(rules_for(5, constraints), InputError);
  for (const char* bad : {"", "2,", "9", "0", "2,x", "2 4"})
    EXPECT_THROW(constraints.set_choices(bad), InputError) << bad;
}

}  // namespace
}  // namespace kronbit::search
