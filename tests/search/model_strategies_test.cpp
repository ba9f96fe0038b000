// Each strategy with a model by its own rule: what it runs next, found again by brute force over the candidates.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "search/acquisition.h"
#include "strategies_support.h"

namespace kronbit::search {
namespace {

TEST(TargetGp, DesignsWithTwoRunsMoreThanWeights) {
  for (const std::string_view name : {"gp-ei", "gp-ucb"}) {
    const Plan first = Explorer(fake_candidates(), {}, options_for(name)).plan_round();
    EXPECT_EQ(first.runs.size(), 4u) << name;
    EXPECT_FALSE(first.fitted);
    for (const PlannedRun& run : first.runs) EXPECT_EQ(run.task, 2);
  }
  EXPECT_EQ(Explorer(fake_candidates(), {}, options_for("information")).plan_round().runs.size(), 6u);
}

TEST(Information, EveryTargetRunIsBelievedBeforeTheNext) {
  ExplorerOptions options = options_for("information", {1, 4});
  options.strategy.target_runs = 3;
  Explorer explorer(fake_candidates(5), {}, options);
  drive(explorer, 6);
  ASSERT_TRUE(explorer.round_finished());
  const std::vector<Candidate>& all = explorer.candidates();
  Model model = explorer.fit();
  std::vector<std::pair<size_t, int>> expected;
  std::set<size_t> used;
  for (int run = 0; run < 3; ++run) {
    const std::vector<double> hope = model.gp().quantiles(model.places()(all), 1, 2.0);
    size_t best = 0;
    double highest = -1e300;
    for (size_t c = 0; c < all.size(); ++c) {
      if (used.contains(c) || !explorer.history().may_run(c, 1)) continue;
      const double value = effective_accuracy(hope[c], all[c].bits);
      if (value > highest) highest = value, best = c;
    }
    expected.push_back({best, 1});
    used.insert(best);
    std::vector<gp::Observation> observations = model.gp().observations();
    for (int task = explorer.history().depth(best); task <= 1; ++task)
      observations.push_back(
          {model.places()(all[best]), task, model.gp().quantiles({model.places()(all[best])}, task, 0.0)[0]});
    model = Model(model.places(),
                  gp::MultiTaskGp(std::move(observations), model.gp().hyperparameters(), model.gp().standardisation()));
  }
  std::vector<std::pair<size_t, int>> planned = what(explorer.plan_round().runs);
  planned.resize(3);
  EXPECT_EQ(planned, expected);
}

TEST(Kronbit, BeginsWithTheLeastErrorsWithinTheLimit) {
  ExplorerOptions options = options_for("kronbit");
  options.strategy.goal.by = By::Accuracy;
  options.strategy.goal.limits.max_average_bits = 4.0;
  Explorer explorer(with_errors(fake_candidates()), {}, options);
  const Plan plan = explorer.plan_round();
  size_t least = 0;
  for (size_t c = 0; c < explorer.candidates().size(); ++c) {
    const Candidate &each = explorer.candidates()[c], &best = explorer.candidates()[least];
    const bool allowed = options.strategy.goal.limits.allow(each.cost);
    if (allowed && (!options.strategy.goal.limits.allow(best.cost) || each.log_error < best.log_error)) least = c;
  }
  EXPECT_EQ(what(plan.runs)[0], (std::pair<size_t, int>{least, 2}));
  size_t full = 0;
  for (const PlannedRun& run : plan.runs) full += run.task == 2;
  EXPECT_EQ(full, 2u) << "nothing far below the limit at the last task";
}

TEST(GpEi, TakesTheBruteForceArgmax) {
  ExplorerOptions options = options_for("gp-ei", {1, 4});
  options.strategy.round = 2;
  Explorer explorer(fake_candidates(5), {}, options);
  drive(explorer, 8);
  ASSERT_TRUE(explorer.round_finished());
  // The model of the last task alone, from the same observations.
  History view = explorer.history();
  view.costs = {4};
  for (size_t c = 0; c < view.candidates.size(); ++c)
    if (!view.known[c].empty()) view.known[c] = {view.known[c][1]};
  for (Told& told : view.told) told.run.task = 0;
  Model model = fit_model(view, options.strategy.model, options.strategy.seed);
  double incumbent = -1e9;
  std::vector<std::pair<size_t, int>> best_two;
  for (int run = 0; run < 2; ++run) {
    const gp::Posterior posterior = model.predict(view.candidates, 0);
    const auto expected = [&](size_t c) { return effective_accuracy(posterior.mean[c], view.candidates[c].bits); };
    if (run == 0)
      for (const Told& told : view.told) incumbent = std::max(incumbent, expected(told.run.candidate));
    else
      incumbent = std::max(incumbent, expected(best_two[0].first));
    size_t best = 0;
    double highest = -1e9;
    for (size_t c = 0; c < view.candidates.size(); ++c) {
      if (!view.known[c].empty() || (run == 1 && c == best_two[0].first)) continue;
      const double value =
          log_expected_improvement(expected(c), std::sqrt(std::max(0.0, posterior.variance[c])), incumbent);
      if (value > highest) highest = value, best = c;
    }
    best_two.push_back({best, 1});
    // The first is believed to give its median.
    const std::vector<double> place = model.places()(view.candidates[best]);
    std::vector<gp::Observation> observations = model.gp().observations();
    observations.push_back({place, 0, model.gp().quantiles({place}, 0, 0.0)[0]});
    model = Model(model.places(),
                  gp::MultiTaskGp(observations, model.gp().hyperparameters(), model.gp().standardisation()));
  }
  EXPECT_EQ(what(explorer.plan_round().runs), best_two);
}

TEST(GpUcb, TakesTheBruteForceArgmax) {
  ExplorerOptions options = options_for("gp-ucb", {1, 4});
  options.strategy.round = 1;
  Explorer explorer(fake_candidates(5), {}, options);
  drive(explorer, 8);
  History view = explorer.history();  // of the last task alone
  view.costs = {4};
  for (std::vector<double>& known : view.known)
    if (!known.empty()) known = {known[1]};
  for (Told& told : view.told) told.run.task = 0;
  const Model model = fit_model(view, options.strategy.model, options.strategy.seed);
  const double beta = 0.2 * 2 * std::log(2.0 * 2 * 9);  // two weights, the ninth run
  const std::vector<double> bound = model.gp().quantiles(model.places()(view.candidates), 0, std::sqrt(beta));
  size_t best = view.candidates.size();
  double highest = -1e9;
  for (size_t c = 0; c < view.candidates.size(); ++c) {
    const double value = effective_accuracy(bound[c], view.candidates[c].bits);
    if (view.known[c].empty() && value > highest) highest = value, best = c;
  }
  EXPECT_THAT(what(explorer.plan_round().runs), testing::ElementsAre(testing::Pair(best, 1)));
}

TEST(Kronbit, BeginsInTheMiddlesOfTheThirdsOfTheErrors) {
  Explorer explorer(with_errors(fake_candidates()), {}, options_for("kronbit"));
  std::vector<double> front;  // errors that nothing as small undercuts
  for (const Candidate& each : explorer.candidates())
    if (std::none_of(explorer.candidates().begin(), explorer.candidates().end(), [&](const Candidate& other) {
          return (other.cost.bytes < each.cost.bytes && other.log_error <= each.log_error) ||
                 (other.cost.bytes <= each.cost.bytes && other.log_error < each.log_error);
        }))
      front.push_back(each.log_error);
  const auto [least, most] = std::minmax_element(front.begin(), front.end());
  const Plan plan = explorer.plan_round();
  for (size_t r = 0; r < plan.runs.size(); ++r) {
    ASSERT_EQ(plan.runs[r].task, r < 3 ? 2 : 0);
    if (r >= 3) continue;
    const double level = *least + (2.0 * static_cast<double>(r) + 1.0) / 6.0 * (*most - *least);
    const double apart = std::abs(explorer.candidates()[plan.runs[r].candidate].log_error - level);
    for (const double error : front) EXPECT_LE(apart, std::abs(error - level));
  }
}

TEST(MaxValue, TakesTheBruteForceArgmax) {
  for (const uint64_t seed : {1, 2, 3, 4}) {
    ExplorerOptions options = options_for("max-value");
    options.strategy.round = 2;
    options.strategy.seed = seed;
    options.strategy.goal.by = seed < 4 ? By::Accuracy : By::Effective;
    options.strategy.model.warp = Warp::None;
    Explorer explorer(fake_candidates(2), {}, options);
    drive(explorer, 12);
    ASSERT_TRUE(explorer.round_finished());
    const History& known = explorer.history();
    const Plan plan = explorer.plan_round();
    ASSERT_EQ(plan.runs.size(), 2u);
    const Model fitted = explorer.fit();
    const auto observing = [&](const gp::MultiTaskGp& gp, const Candidate& c, int first, int last) {
      std::vector<gp::Observation> observations = gp.observations();
      for (int task = first; task <= last; ++task) {
        const std::vector<double> place = fitted.places()(c);
        observations.push_back({place, task, std::clamp(gp.predict({place}, task).mean[0], 0.0, 1.0)});
      }
      return gp::MultiTaskGp(observations, gp.hyperparameters(), gp.standardisation());
    };
    const std::vector<std::vector<double>> places = fitted.places()(known.candidates);
    const size_t taken = plan.runs[0].candidate;
    ASSERT_EQ(plan.runs[0].task, 2);
    const gp::MultiTaskGp believing =
        observing(fitted.gp(), known.candidates[taken], static_cast<int>(known.known[taken].size()), 2);
    const gp::Posterior after = believing.predict(places, 2);
    const auto expected = [&](size_t c) {
      return after.mean[c] + (seed < 4 ? 0.0 : effective_accuracy(0.0, known.candidates[c].bits));
    };
    // Every candidate that is open, and the one taken, may be the highest; nothing is lower than what is reached.
    double incumbent = expected(taken);
    std::vector<double> mean, sd;
    std::vector<size_t> open;
    for (size_t c = 0; c < places.size(); ++c) {
      if (known.known[c].size() == 3) incumbent = std::max(incumbent, expected(c));
      if (known.known[c].size() == 3) continue;
      mean.push_back(expected(c));
      sd.push_back(std::max(1e-9, std::sqrt(std::max(0.0, after.variance[c]))));
      if (c != taken) open.push_back(c);
    }
    ASSERT_LE(open.size(), 64u);
    std::vector<double> highest = quantiles_of_highest(mean, sd, 16);
    for (double& value : highest) value = std::max(value, incumbent);
    double best = -1.0;
    std::pair<size_t, int> argmax;
    for (const size_t c : open)
      for (int task = static_cast<int>(known.known[c].size()); task < 3; ++task) {
        const gp::MultiTaskGp told =
            observing(believing, known.candidates[c], static_cast<int>(known.known[c].size()), task);
        const double left = told.predict({places[c]}, 2).variance[0];
        const double share = std::clamp(1.0 - left / after.variance[c], 0.0, 1.0 - 1e-9);
        const double value = max_value_information(expected(c), std::sqrt(after.variance[c]), share, highest) /
                             known.costs[static_cast<size_t>(task)];
        if (value > best) best = value, argmax = {c, task};
      }
    EXPECT_EQ(std::pair(plan.runs[1].candidate, plan.runs[1].task), argmax) << seed;
    EXPECT_NEAR(plan.runs[1].information / known.costs[static_cast<size_t>(plan.runs[1].task)], best, 1e-6 * best);
  }
}

TEST(MiGreedy, EpisodesExploreBelowTheLastTaskAndEndThere) {
  Explorer explorer(fake_candidates(), {}, options_for("mi-greedy", {1, 4, 20}));
  explorer.begin_round(explorer.plan_round());
  while (!explorer.round_finished()) tell_next(explorer);
  bool explored = false;
  int explorations = 0;
  for (int round = 0; round < 8; ++round) {
    const Plan plan = explorer.plan_round();
    double cost = 0.0;
    if (plan.runs[0].reason == Reason::Information) {
      EXPECT_FALSE(explored) << "two explorations without a run at the last task between";
      explored = true;
      ++explorations;
      for (const PlannedRun& run : plan.runs) {
        EXPECT_LT(run.task, 2);
        cost += explorer.options().costs[static_cast<size_t>(run.task)];
      }
      EXPECT_LE(cost, 20);
    } else {
      ASSERT_EQ(plan.runs.size(), 1u);
      EXPECT_EQ(plan.runs[0].task, 2);
      explored = false;
    }
    explorer.begin_round(plan);
    while (!explorer.round_finished()) tell_next(explorer);
  }
  EXPECT_GT(explorations, 0);
}

TEST(MiGreedy, ExploresWhileItPaysHalfOfTheFirstRun) {
  ExplorerOptions options = options_for("mi-greedy", {1, 4, 20});
  options.strategy.model.warp = Warp::None;
  Explorer explorer(fake_candidates(4), {}, options);
  size_t longest = 0;
  for (int round = 0; round < 9; ++round) {
    const Plan plan = explorer.plan_round();
    double information = 0.0, cost = 0.0, first = 0.0;
    if (plan.runs[0].reason == Reason::Information) longest = std::max(longest, plan.runs.size());
    if (plan.runs[0].reason == Reason::Information)
      for (const PlannedRun& run : plan.runs) {
        information += run.information;
        cost += explorer.options().costs[static_cast<size_t>(run.task)];
        if (first == 0.0) first = information / cost;
        EXPECT_GE(information / cost, 0.5 * first);
      }
    explorer.begin_round(plan);
    while (!explorer.round_finished()) tell_next(explorer);
  }
  EXPECT_GT(longest, 1u);
}

TEST(Ehvi, TakesTheBruteForceArgmaxFirst) {
  Explorer explorer(fake_candidates(5), {}, options_for("ehvi"));
  drive(explorer, 14);
  ASSERT_TRUE(explorer.round_finished());
  const std::vector<Candidate>& all = explorer.candidates();
  const gp::Posterior posterior =
      fit_model(explorer.history(), explorer.options().strategy.model, explorer.seed()).predict(all, 2);
  FrontPoint reference{0.0, 0.0};
  std::vector<FrontPoint> points;
  for (size_t c = 0; c < all.size(); ++c) {
    reference.bytes = std::max(reference.bytes, 1.01 * all[c].cost.bytes);
    if (explorer.known(c).size() == 3) points.push_back({all[c].cost.bytes, posterior.mean[c]});
  }
  const std::vector<FrontPoint> front = front_of(points, reference);
  size_t best = all.size();
  double most = -1e300;
  for (size_t c = 0; c < all.size(); ++c) {
    if (explorer.known(c).size() == 3) continue;
    const double value = log_hypervolume_improvement(posterior.mean[c], std::sqrt(std::max(0.0, posterior.variance[c])),
                                                     all[c].cost.bytes, front, reference);
    if (value > most) most = value, best = c;
  }
  const Plan plan = explorer.plan_round();
  EXPECT_EQ(plan.runs[0].candidate, best);
  EXPECT_EQ(plan.runs[0].task, 2);
}

TEST(Ehvi, CoversMoreOfTheFrontThanAsManyRandomRuns) {
  const FrontPoint reference{6500, 0.0};
  const auto covered = [&](const Explorer& explorer) {
    std::vector<FrontPoint> points;
    for (size_t c = 0; c < explorer.candidates().size(); ++c)
      if (explorer.known(c).size() == 3)
        points.push_back({explorer.candidates()[c].cost.bytes, fake_accuracy(explorer.candidates()[c].bits, 2)});
    return std::pair(hypervolume(front_of(points, reference), reference), points.size());
  };
  Explorer explorer(fake_candidates(), {}, options_for("ehvi"));
  drive(explorer, 38);
  const auto [area, runs] = covered(explorer);
  EXPECT_LT(runs, 30u) << "half of each round is for learning";
  for (uint64_t seed = 0; seed < 5; ++seed) {
    ExplorerOptions options = options_for("random");
    options.strategy.seed = seed;
    Explorer random(fake_candidates(), {}, options);
    drive(random, runs);
    EXPECT_GT(area, covered(random).first) << seed;
  }
}

}  // namespace
}  // namespace kronbit::search
