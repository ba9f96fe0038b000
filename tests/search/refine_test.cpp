// Leaving the curve: neighbours, what is picked among them, and a journal with configurations that no curve draws.
#include "search/strategies/refine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <set>

#include "fake.h"
#include "search/acquisition.h"
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

TEST(Refine, BitsOutsideTheRulesHaveNoNeighbours) {
  Constraints constraints;
  constraints.add_fix("layer0=8");
  constraints.add_tie("layer1,layer2");
  constraints.set_choices("2,4,8");
  const LayerRules rules = rules_for(4, constraints);
  EXPECT_TRUE(neighbours({2, 4, 4, 2}, rules).empty()) << "layer0 would stay at 2";
  EXPECT_TRUE(neighbours({8, 4, 4, 3}, rules).empty()) << "layer3 would stay at 3";
  for (const Bits& bits : neighbours({8, 4, 2, 2}, rules)) EXPECT_EQ(rules.apply(bits), bits) << format_bits(bits);
}

TEST(Refine, IsRefusedWhereAStrategyCountsItsOwnRuns) {
  for (const StrategyInfo& info : strategies()) {
    StrategyOptions options = refining(8).strategy;
    options.name = info.name;
    const bool counts = info.name == "halving" || info.name == "hyperband";
    EXPECT_EQ(info.counts, counts);
    if (counts) {
      EXPECT_THROW(make_strategy(options), InputError) << info.name;
    } else {
      EXPECT_NE(make_strategy(options), nullptr) << info.name;
    }
  }
}

TEST(Refine, EpisodesStillEndAtTheLastTask) {
  ExplorerOptions options = refining(8);
  options.costs = {1, 4, 20};
  options.strategy.name = "mi-greedy";
  Explorer explorer(fake_candidates(), {}, options);
  size_t episodes = 0;
  for (bool explored = false; explorer.history().told.size() < 50;) {
    const Plan plan = explorer.plan_round();
    const Reason reason = plan.runs[0].reason;
    EXPECT_FALSE(explored && reason == Reason::Information) << "two explorations, no run at the last task between";
    episodes += explored && explorer.history().told.size() > kRefineAfter;
    explored = reason == Reason::Information;
    explorer.begin_round(plan);
    while (const PlannedRun* run = explorer.first_waiting()) {
      const Bits& bits = explorer.candidates()[run->candidate].bits;
      std::vector<double> accuracies;
      for (int task = 0; task <= run->task; ++task) accuracies.push_back(fake_accuracy(bits, task));
      explorer.tell(accuracies);
    }
  }
  EXPECT_GT(episodes, 0u);
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

/// Plans and results of a journal, without times and numbers of lines.
std::vector<std::string> decisions(const SearchRun& run) {
  std::vector<std::string> lines;
  for (Json line : run.lines()) {
    if (line["event"] != "plan" && line["event"] != "evaluation") continue;
    for (const char* key : {"n", "crc", "seconds", "worker"}) line.erase(key);
    lines.push_back(dump_line(line));
  }
  return lines;
}

TEST(Refine, AResumedRunKnowsWhatWasAdded) {
  for (const char* strategy : {"information", "evolution"}) {
    SCOPED_TRACE(strategy);
    const auto spec = [&](const std::filesystem::path& folder, const std::string& budget) {
      SearchSpec s = fake_spec(folder, true, budget);
      s.explorer.strategy.name = strategy;
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
    EXPECT_EQ(decisions(again), decisions(unbroken));
    ASSERT_GT(unbroken.explorer().candidates().size(), fake_candidates().size());
    ASSERT_EQ(again.explorer().candidates().size(), unbroken.explorer().candidates().size());
    std::set<Bits> paid;
    for (size_t c = 0; c < again.explorer().candidates().size(); ++c) {
      EXPECT_EQ(again.explorer().candidates()[c].bits, unbroken.explorer().candidates()[c].bits);
      EXPECT_EQ(again.explorer().known(c), unbroken.explorer().known(c));
      EXPECT_TRUE(paid.insert(again.explorer().candidates()[c].bits).second) << "a list that is there twice";
    }
  }
}

/// Plans one list that is not listed, again and again.
class OneAdded final : public Strategy {
 public:
  explicit OneAdded(Candidate added) : added_(std::move(added)) {}
  Plan plan(const History& history) const override {
    Plan plan;
    plan.added = {added_};
    plan.runs = {{0, history.candidates.size(), history.last(), Reason::Strategy, 0.0}};
    return plan;
  }

 private:
  Candidate added_;
};

TEST(Refine, DoesNotPlanWhatIsPlannedAlready) {
  ExplorerOptions options = refining(8);
  options.costs = {1};
  options.strategy.name = "random";
  Explorer explorer(fake_candidates(), {}, options);
  while (explorer.history().told.size() < kRefineAfter) {
    explorer.begin_round(explorer.plan_round());
    while (const PlannedRun* run = explorer.first_waiting())
      explorer.tell({fake_accuracy(explorer.candidates()[run->candidate].bits, 0)});
  }
  const size_t listed = explorer.candidates().size();
  const StrategyOptions& strategy = options.strategy;
  const auto refine = [&](int round, const Candidate& added) {
    StrategyOptions with = strategy;
    with.round = round;
    return make_refine(std::make_unique<OneAdded>(added), with)->plan(explorer.history());
  };
  const Plan alone = refine(1, strategy.make_candidate({1, 8, 1, 8, 1, 8, 1, 8}));
  ASSERT_EQ(alone.runs.size(), 1u);  // in place of the other
  EXPECT_EQ(alone.added.size(), alone.runs[0].candidate < listed ? 0u : 1u) << "a candidate that nobody runs";
  ASSERT_EQ(alone.added.size(), 1u);
  const Plan both = refine(2, alone.added[0]);
  ASSERT_EQ(both.runs.size(), 2u);
  const Bits other = both.runs[1].candidate < listed ? explorer.candidates()[both.runs[1].candidate].bits
                                                     : both.added[both.runs[1].candidate - listed].bits;
  EXPECT_NE(other, alone.added[0].bits) << "paid twice";
}

/// Twelve configurations run at the only task, measured with noise.
History measured(const std::vector<Candidate>& candidates, uint64_t seed, double noise = 0.04) {
  Rng rng(seed, Purpose::Test);
  History history;
  history.candidates = candidates;
  history.costs = {1};
  history.known.resize(candidates.size());
  history.divergences.resize(candidates.size());
  history.dropped.resize(candidates.size(), false);
  history.rounds = history.runs = 1;
  for (const int64_t drawn : rng.permutation(static_cast<int64_t>(candidates.size()))) {
    if (history.told.size() == kRefineAfter) break;
    const size_t c = static_cast<size_t>(drawn);
    history.known[c] = {std::clamp(fake_accuracy(candidates[c].bits, 0) + noise * rng.normal(), 0.0, 1.0)};
    history.told.push_back({{history.runs++, c, 0, Reason::Strategy, 0.0}, true});
  }
  return history;
}

TEST(Refine, ImprovesOnTheBestExpectationNotOnTheLuckiestMeasurement) {
  int differ = 0;
  for (const By by : {By::Effective, By::Size})
    for (uint64_t seed = 15; seed < 25; ++seed) {
      SCOPED_TRACE(seed);
      StrategyOptions options = refining(4).strategy;
      options.goal.by = by;
      options.round = 1;
      const Candidate other = options.make_candidate({1, 8, 1, 8});
      if (by == By::Size) options.goal.min_accuracy = 0.75;
      const History history = measured(fake_candidates(4), seed, 0.1);
      ModelOptions bits = options.model;
      bits.inputs = Inputs::Bits;
      const Model model = fit_model(history, bits, options.seed);
      const gp::Posterior at_run = model.predict(history.candidates, 0);
      std::vector<std::pair<double, size_t>> best;
      double expected = -1e300;
      for (size_t c = 0; c < history.candidates.size(); ++c) {
        const Candidate& each = history.candidates[c];
        if (history.known[c].empty()) continue;
        best.emplace_back(-score(options.goal, history.known[c][0], each.bits, each.cost), c);
        expected = std::max(expected, score(options.goal, at_run.mean[c], each.bits, each.cost));
      }
      std::sort(best.begin(), best.end());
      const auto argmax = [&](double incumbent) {
        Bits found = other.bits;  // which stays where no step can be better
        double most = -std::numeric_limits<double>::infinity();
        for (size_t parent = 0; parent < 3; ++parent)
          for (const Bits& step : neighbours(history.candidates[best[parent].second].bits, *options.rules)) {
            const size_t listed = find_candidate(history.candidates, step);
            if (listed < history.candidates.size() && !history.known[listed].empty()) continue;
            const Candidate candidate = options.make_candidate(step);
            const gp::Posterior posterior = model.predict({candidate}, 0);
            const double value = log_goal_improvement(options.goal, candidate, posterior.mean[0],
                                                      std::sqrt(std::max(0.0, posterior.variance[0])), incumbent);
            if (value > most) most = value, found = step;
          }
        return found;
      };
      const Plan plan = make_refine(std::make_unique<OneAdded>(other), options)->plan(history);
      ASSERT_EQ(plan.runs.size(), 1u);
      const size_t run = plan.runs[0].candidate, listed = history.candidates.size();
      EXPECT_EQ(run < listed ? history.candidates[run].bits : plan.added[run - listed].bits, argmax(expected));
      differ += argmax(expected) != argmax(-best[0].first);
    }
  EXPECT_GT(differ, 0) << "the two would choose alike";
}

TEST(Refine, NothingGivesWayWhereNoStepCanBeBetter) {
  StrategyOptions options = refining(4).strategy;
  options.goal.by = By::Size;
  options.round = 1;
  History history = measured(fake_candidates(4), 0);
  const size_t smallest = find_candidate(history.candidates, Bits(4, 1));
  ASSERT_LT(smallest, history.candidates.size());
  history.known[smallest] = {0.5};
  const Candidate other = options.make_candidate({1, 8, 1, 8});
  const Plan plan = make_refine(std::make_unique<OneAdded>(other), options)->plan(history);
  ASSERT_EQ(plan.runs.size(), 1u);
  EXPECT_EQ(plan.runs[0].reason, Reason::Strategy);
  ASSERT_EQ(plan.added.size(), 1u);
  EXPECT_EQ(plan.added[0].bits, other.bits);
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
