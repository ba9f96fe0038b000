// What all strategies promise: legal plans, decisions from the history alone, an end, limits, a good result.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "strategies_support.h"
#include "tensor/base/error.h"

namespace kronbit::search {
namespace {

class EveryStrategy : public testing::TestWithParam<std::string_view> {
 protected:
  /// The one that ends before all is known.
  bool is_uniform() const { return GetParam() == "uniform"; }
};

std::vector<std::string_view> all_names() {
  std::vector<std::string_view> names;
  for (const StrategyInfo& strategy : strategies()) names.push_back(strategy.name);
  return names;
}

std::string test_name(const testing::TestParamInfo<std::string_view>& parameter) {
  std::string name(parameter.param);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, EveryStrategy, testing::ValuesIn(all_names()), test_name);

std::vector<std::string_view> names_without(const std::set<std::string_view>& left_out) {
  std::vector<std::string_view> names = all_names();
  std::erase_if(names, [&](std::string_view name) { return left_out.contains(name); });
  return names;
}

/// Those that are to find the best in few runs.
class SearchingStrategy : public EveryStrategy {};
INSTANTIATE_TEST_SUITE_P(All, SearchingStrategy,
                         testing::ValuesIn(names_without({"halving", "nsga2", "evolution", "uniform", "random"})),
                         test_name);

TEST_P(EveryStrategy, NeverRepeatsAndEndsWhenAllIsKnown) {
  const std::vector<Candidate> all = few();
  const size_t four = find_candidate(all, Bits(4, 4));
  Explorer explorer(all, {four, 3}, options_for(GetParam()));
  std::vector<int> highest(all.size(), -1);
  const std::vector<PlannedRun> runs = drive(explorer);
  for (const PlannedRun& run : runs) {
    EXPECT_GT(run.task, highest[run.candidate]);
    highest[run.candidate] = run.task;
  }
  EXPECT_EQ(runs[0].candidate, four);
  EXPECT_EQ(runs[1].candidate, 3u);
  EXPECT_TRUE(explorer.plan_round().runs.empty());
  if (!is_uniform()) {
    EXPECT_THAT(highest, testing::Each(2));
  }
}

TEST_P(EveryStrategy, DecidesFromTheHistoryAlone) {
  const std::vector<Candidate> all = few();
  Explorer first(all, {2}, options_for(GetParam())), second(all, {2}, options_for(GetParam()));
  const std::unique_ptr<Strategy> strategy = make_strategy(options_for(GetParam()).strategy);
  while (first.history().told.size() < 16) {
    const Plan plan = first.plan_round();
    EXPECT_EQ(what(plan.runs), what(second.plan_round().runs));
    if (plan.runs.empty()) break;
    first.begin_round(plan);
    second.begin_round(plan);  // as read back from a journal
    while (!first.round_finished()) {
      // In the middle of a round: a plan that may be run, and twice the same.
      if (first.waiting().size() + 1 == plan.runs.size()) {
        const Plan middle = strategy->plan(first.history());
        EXPECT_EQ(what(middle.runs), what(strategy->plan(second.history()).runs));
        for (const PlannedRun& run : middle.runs) EXPECT_TRUE(first.history().may_run(run.candidate, run.task));
      }
      tell_next(first);
      tell_next(second);
    }
  }
}

TEST_P(EveryStrategy, SurvivesFailures) {
  Explorer some(few(), {}, options_for(GetParam()));
  std::set<size_t> failed;
  drive(some, 10000, 3);  // two of three succeed
  for (const Told& told : some.history().told) {
    EXPECT_FALSE(failed.contains(told.run.candidate));
    if (!told.ok) failed.insert(told.run.candidate);
  }
  EXPECT_FALSE(failed.empty());
  EXPECT_TRUE(some.plan_round().runs.empty());
  Explorer all(few(), {}, options_for(GetParam()));
  const size_t runs = drive(all, 10000, 1).size();
  if (!is_uniform()) {
    EXPECT_EQ(runs, few().size());
  }
}

TEST_P(EveryStrategy, OneCandidateOneTaskOneLayer) {
  const std::vector<Candidate> all = few();
  const size_t four = find_candidate(all, Bits(4, 4));
  Explorer candidate({all[four]}, {}, options_for(GetParam()));
  EXPECT_THAT(what(drive(candidate)).back(), testing::Pair(0u, 2));
  Explorer tried({all[four]}, {0}, options_for(GetParam()));
  EXPECT_EQ(drive(tried).size(), 1u);
  Explorer task(all, {}, options_for(GetParam(), {1}));
  EXPECT_EQ(drive(task).size(), is_uniform() ? 8u : all.size());
  Explorer layer(with_errors(fake_candidates(1)), {}, options_for(GetParam()));
  EXPECT_GE(drive(layer).size(), 8u);
}

TEST_P(EveryStrategy, StaysThere) {
  ExplorerOptions options = options_for(GetParam());
  options.strategy.goal.limits.max_average_bits = 4.0;
  Explorer explorer(few(), {}, options);
  EXPECT_GE(drive(explorer).size(), is_uniform() ? 4u : 7u);
  for (const Bits& bits : bits_run(explorer)) EXPECT_LE(fake_cost(bits).average_bits, 4.0);
  options.strategy.goal.limits.max_average_bits = 0.5;
  EXPECT_TRUE(Explorer(few(), {}, options).plan_round().runs.empty());
}

TEST_P(SearchingStrategy, FindsTheBest) {
  ExplorerOptions options = options_for(GetParam(), {1, 4, 20});
  options.strategy.model.inputs = Inputs::CurveAndError;
  Explorer explorer(with_errors(fake_candidates()), {}, options);
  double cost = 0.0, found = 0.0, best = 0.0;
  const auto reached = [](const Candidate& c) { return effective_accuracy(fake_accuracy(c.bits, 2), c.bits); };
  for (const PlannedRun& run : drive(explorer, GetParam() == "hyperband" ? 200 : 48)) {
    cost += options.costs[static_cast<size_t>(run.task)];
    if (cost > 24 * 20) break;
    if (run.task == 2) found = std::max(found, reached(explorer.candidates()[run.candidate]));
  }
  for (const Candidate& candidate : explorer.candidates()) best = std::max(best, reached(candidate));
  EXPECT_GT(found, best - (GetParam() == "information" || GetParam() == "hyperband" ? 0.02 : 0.005));
}

TEST(Strategies, UnknownNamesAreRefused) {
  ExplorerOptions options = options_for("best");
  EXPECT_THROW(Explorer(few(), {}, options), InputError);
}

}  // namespace
}  // namespace kronbit::search
