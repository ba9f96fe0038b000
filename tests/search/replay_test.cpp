#include "search/replay.h"

#include <gtest/gtest.h>

#include <set>

#include "tensor/base/error.h"
#include "tests/search/fake_table.h"

namespace kronbit::search {
namespace {

Table table_of(const FakeTable& options) { return parse_table(fake_table(options), "fake"); }

Problem small_problem(const Goal& goal = {}, int seeds = 2) {
  return problem_of(table_of({.configurations = 40, .seeds = seeds}), Curve::bezier(1), fake_errors(), goal);
}

ReplayOptions options_for(double budget) {
  ReplayOptions options;
  options.strategy.seed = options.seed = 11;
  options.strategy.model.starts = 1;
  options.budget = budget;
  return options;
}

bool alike(const Replay& a, const Replay& b) {
  if (a.steps.size() != b.steps.size() || a.model_choice != b.model_choice || a.bought != b.bought) return false;
  for (size_t i = 0; i < a.steps.size(); ++i)
    if (a.steps[i].cost != b.steps[i].cost || a.steps[i].candidate != b.steps[i].candidate ||
        a.steps[i].task != b.steps[i].task || a.steps[i].incumbent != b.steps[i].incumbent)
      return false;
  return true;
}

TEST(Problem, HoldsTheTable) {
  const Table table = table_of({.configurations = 40, .seeds = 3});
  const Problem problem = problem_of(table, Curve::bezier(1), fake_errors(), {});
  ASSERT_EQ(problem.candidates.size(), 40u);
  EXPECT_EQ(problem.costs, (std::vector<double>{0.5, 2.0, 5.5}));
  double squares = 0.0;
  for (size_t c = 0; c < 40; ++c) {
    const Recorded& recorded = table.configurations[c];
    EXPECT_EQ(problem.candidates[c].bits, recorded.bits);
    EXPECT_EQ(problem.candidates[c].w, recorded.w);
    EXPECT_EQ(problem.candidates[c].log_error, log_error(fake_errors(), recorded.bits));
    const auto test = [&](size_t t) { return recorded.trainings[t].test[2]; };
    const double mean = (test(0) + test(1) + test(2)) / 3.0;
    EXPECT_DOUBLE_EQ(problem.truth[c], mean);
    for (size_t t = 0; t < 3; ++t) squares += (test(t) - mean) * (test(t) - mean);
  }
  for (const size_t c : {0u, 39u}) {
    const double p = problem.truth[c];
    EXPECT_NEAR(problem.truth_error[c], std::sqrt(std::max(squares / 80.0, p * (1 - p) / 1e4) / 3.0), 1e-12);
  }
}

TEST(Problem, OneTrainingIsNoCertainty) {
  const Problem problem = small_problem({}, 1);
  for (size_t c = 0; c < problem.candidates.size(); ++c)
    EXPECT_NEAR(problem.truth_error[c], std::sqrt(problem.truth[c] * (1.0 - problem.truth[c]) / 1e4), 1e-12);
}

TEST(Problem, KeepsToLimitsAndPlacesOtherBitsByTheirFit) {
  Table table = table_of({.configurations = 40});
  table.configurations[20].w = {0.0, 0.0};  // does not draw these bits
  Goal goal;
  goal.limits.max_bytes = table.configurations[20].cost.bytes;
  const Problem problem = problem_of(table, Curve::bezier(1), std::nullopt, goal);
  EXPECT_LT(problem.candidates.size(), 40u);
  bool found = false;
  for (const Candidate& candidate : problem.candidates) {
    EXPECT_LE(candidate.cost.bytes, goal.limits.max_bytes);
    if (candidate.bits != table.configurations[20].bits) continue;
    found = true;
    EXPECT_EQ(candidate.w, Curve::bezier(1).fit(candidate.bits));
    EXPECT_TRUE(std::isnan(candidate.log_error));
  }
  EXPECT_TRUE(found);
  goal.limits.max_bytes = 1.0;
  EXPECT_THROW(problem_of(table, Curve::bezier(1), std::nullopt, goal), InputError);
  EXPECT_THROW(problem_of(table, Curve::bezier(1), fake_errors(7), {}), InputError);
}

TEST(Replay, IsTheSameTwiceAndAnotherForAnotherSeed) {
  const Problem problem = small_problem();
  ReplayOptions options = options_for(60.0);
  options.model_choice = true;
  const Replay first = replay(problem, options);
  EXPECT_TRUE(first.model_choice.has_value());
  EXPECT_GT(first.fits, 0);
  EXPECT_TRUE(alike(first, replay(problem, options)));
  options.seed = 12;
  EXPECT_FALSE(alike(first, replay(problem, options)));
}

TEST(Replay, AddsUpTheMedianCosts) {
  Table table = table_of({.configurations = 40, .seeds = 2});
  for (Recorded& recorded : table.configurations)
    for (Training& training : recorded.trainings)
      for (double& seconds : training.seconds)
        seconds *= 1.0 + 0.01 * static_cast<double>(training.seed) + 0.001 * static_cast<double>(recorded.id);
  const Problem problem = problem_of(table, Curve::bezier(1), std::nullopt, {});
  EXPECT_EQ(problem.costs, table.median_seconds());
  const std::vector<size_t> drawn = drawn_trainings(problem, 11);
  EXPECT_EQ(std::set<size_t>(drawn.begin(), drawn.end()).size(), 2u);
  for (const bool pay_difference : {false, true}) {
    ReplayOptions options = options_for(50.0);
    options.pay_difference = pay_difference;
    const Replay result = replay(problem, options);
    ASSERT_FALSE(result.steps.empty());
    std::vector<double> paid(problem.candidates.size(), 0.0);
    std::vector<int64_t> bought(3, 0);
    double cost = 0.0, best = -1e300;
    std::optional<size_t> incumbent;
    for (const ReplayStep& step : result.steps) {
      const Answers& answers = problem.answers[step.candidate][drawn[step.candidate]];
      const auto task = static_cast<size_t>(step.task);
      cost += answers.cost[task] - (pay_difference ? paid[step.candidate] : 0.0);
      paid[step.candidate] = answers.cost[task];
      ++bought[task];
      const double value = effective_accuracy(answers.accuracy[task], problem.candidates[step.candidate].bits);
      if (task == 2 && value > best) best = value, incumbent = step.candidate;
      EXPECT_DOUBLE_EQ(step.cost, cost);
      EXPECT_EQ(step.incumbent, incumbent);
    }
    EXPECT_EQ(result.bought, bought);
    EXPECT_LE(cost, 50.0);
    EXPECT_GT(cost, 40.0);
  }
}

TEST(Replay, EndsAfterSoManyRuns) {
  ReplayOptions options = options_for(1e9);
  options.most_runs = 13;
  const Replay result = replay(small_problem(), options);
  EXPECT_EQ(result.steps.size(), 13u);
  EXPECT_FALSE(result.exhausted);
}

TEST(Replay, KnowsWhatItWasTold) {
  const Problem problem = small_problem();
  const std::vector<size_t> drawn = drawn_trainings(problem, 4);
  const History history = history_of(problem, {{5, 0}, {7, 1}, {5, 2}}, 4);
  EXPECT_EQ(history.depth(5), 3);
  EXPECT_EQ(history.depth(7), 2);
  EXPECT_EQ(history.depth(6), 0);
  EXPECT_EQ(history.told.size(), 3u);
  EXPECT_EQ(history.known[5], problem.answers[5][drawn[5]].accuracy);
  EXPECT_EQ(observations_of(history, Places(Inputs::Curve, history.candidates)).size(), 5u);
}

TEST(Replay, FindsTheOptimumOfATinyTable) {
  Goal goal;
  goal.by = By::Accuracy;
  goal.limits.max_average_bits = 4.0;
  const Table table = table_of({.configurations = 25, .noise = 0.0});
  const Problem problem = problem_of(table, Curve::bezier(1), fake_errors(), goal);
  for (const char* name : {"information", "random"}) {
    SCOPED_TRACE(name);
    ReplayOptions options = options_for(1e9);
    options.strategy.name = name;
    options.strategy.goal = goal;
    const Replay result = replay(problem, options);
    EXPECT_TRUE(result.exhausted);
    ASSERT_TRUE(result.incumbent().has_value());
    EXPECT_EQ(*result.incumbent(), true_optimum(problem, goal).candidate);
  }
}

TEST(Replay, OptimaOfTruthAndOfWhatIsDrawn) {
  const Problem problem = small_problem();
  const Optimum truth = true_optimum(problem, {}), drawn = drawn_optimum(problem, {}, 3);
  const std::vector<size_t> trainings = drawn_trainings(problem, 3);
  for (size_t c = 0; c < problem.candidates.size(); ++c) {
    const Bits& bits = problem.candidates[c].bits;
    EXPECT_LE(effective_accuracy(problem.truth[c], bits), truth.score);
    EXPECT_LE(effective_accuracy(problem.answers[c][trainings[c]].accuracy.back(), bits), drawn.score);
  }
  EXPECT_EQ(effective_accuracy(problem.truth[truth.candidate], problem.candidates[truth.candidate].bits), truth.score);
}

}  // namespace
}  // namespace kronbit::search
