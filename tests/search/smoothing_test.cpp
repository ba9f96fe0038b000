#include "search/smoothing.h"

#include <gtest/gtest.h>

#include <cmath>

#include "fake.h"
#include "search/model.h"

namespace kronbit::search {
namespace {

double accuracy_at(double divergence) {
  return 1.0 / (1.0 + std::exp(1.5 * divergence + 0.4 * std::sqrt(divergence) - 2.5));
}

/// `count` configurations known at both of two tasks; the divergences of the second are smaller.
History history_of(size_t count, double noise) {
  History history;
  history.costs = {1, 5};
  Rng rng(3, Purpose::Test);
  for (size_t c = 0; c < count; ++c) {
    history.candidates.push_back({Bits{1 + static_cast<int>(c % 8)}, {0.5}, {}});
    const double d = std::exp(rng.uniform(-5.0, 0.5));
    history.divergences.push_back({2.0 * d, d});
    history.known.push_back({});
    for (const double each : history.divergences.back())
      history.known.back().push_back(accuracy_at(each) + noise * rng.uniform(-1.0, 1.0));
    history.dropped.push_back(false);
    history.told.push_back({{static_cast<int64_t>(c), c, 1, Reason::Strategy, 0.0}, true});
  }
  return history;
}

TEST(Smoothing, LeavesWhatTheDivergencesTell) {
  const History history = history_of(30, 0.0);
  const auto smoothed = smoothed_accuracies(history);
  for (size_t c = 0; c < smoothed.size(); ++c)
    for (size_t task : {0, 1}) EXPECT_NEAR(smoothed[c][task], history.known[c][task], 1e-5);
}

TEST(Smoothing, TakesMuchOfTheNoise) {
  const History history = history_of(60, 0.01);
  const auto smoothed = smoothed_accuracies(history);
  double before = 0.0, after = 0.0;
  for (size_t c = 0; c < smoothed.size(); ++c) {
    const double truth = accuracy_at(history.divergences[c][1]);
    before += std::pow(history.known[c][1] - truth, 2);
    after += std::pow(smoothed[c][1] - truth, 2);
  }
  EXPECT_LT(after, 0.4 * before);  // a quarter, and what the fit has taken on
  EXPECT_GT(after, 0.1 * before);
}

TEST(Smoothing, LeavesAccuraciesWhereTooLittleIsKnown) {
  EXPECT_EQ(smoothed_accuracies(history_of(kEnoughToSmooth - 1, 0.01)), history_of(kEnoughToSmooth - 1, 0.01).known);
  EXPECT_NE(smoothed_accuracies(history_of(kEnoughToSmooth, 0.01)), history_of(kEnoughToSmooth, 0.01).known);
  History untold = history_of(20, 0.01);
  for (auto& each : untold.divergences) each.clear();
  EXPECT_EQ(smoothed_accuracies(untold), untold.known);
  History equal = history_of(20, 0.01);
  for (auto& each : equal.divergences) each = {0.0, 0.0};
  EXPECT_EQ(smoothed_accuracies(equal), equal.known);
  for (auto& each : equal.divergences) each = {0.3, 0.3};  // nothing to tell them apart
  const auto smoothed = smoothed_accuracies(equal);
  for (size_t c = 0; c < smoothed.size(); ++c) EXPECT_TRUE(smoothed[c][1] > 0.0 && smoothed[c][1] < 1.0);
}

TEST(Smoothing, IsWhatTheModelIsTold) {
  const History history = history_of(20, 0.01);
  const Places places(Inputs::Curve, history.candidates);
  const auto smoothed = smoothed_accuracies(history);
  const auto told = observations_of(history, places, Observe::Smooth), raw = observations_of(history, places);
  ASSERT_EQ(told.size(), 40u);
  for (size_t i = 0; i < told.size(); ++i) {
    EXPECT_EQ(told[i].y, smoothed[i / 2][i % 2]);
    EXPECT_EQ(raw[i].y, history.known[i / 2][i % 2]);
  }
}

TEST(Smoothing, TellsNoDivergencesOfOtherTasks) {
  ExplorerOptions options;
  options.costs = {1, 2, 3};
  options.strategy.name = "random";
  Explorer explorer({{Bits{1}, {0.5}, {}}}, {}, options);
  const auto run = [&](int task, const std::vector<double>& divergences) {
    Plan plan;
    plan.round = explorer.rounds();
    plan.runs = {{explorer.history().runs, 0, task, Reason::Strategy, 0.0}};
    explorer.begin_round(plan);
    explorer.tell(std::vector<double>(static_cast<size_t>(task) + 1, 0.5), divergences);
    return explorer.history().divergences[0];
  };
  EXPECT_EQ(run(0, {0.4}), (std::vector<double>{0.4}));
  EXPECT_EQ(run(1, {}), (std::vector<double>{0.4}));
  EXPECT_EQ(run(2, {0.4, 0.3, 0.2}), (std::vector<double>{0.4})) << "the second task was told without";
}

}  // namespace
}  // namespace kronbit::search
