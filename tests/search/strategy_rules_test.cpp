// Each strategy by its own rule.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "search/acquisition.h"
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

TEST(TargetGp, DesignsWithTwoRunsMoreThanWeights) {
  for (const std::string_view name : {"gp-ei", "gp-ucb"}) {
    const Plan first = Explorer(fake_candidates(), {}, options_for(name)).plan_round();
    EXPECT_EQ(first.runs.size(), 4u) << name;
    EXPECT_FALSE(first.fitted);
    for (const PlannedRun& run : first.runs) EXPECT_EQ(run.task, 2);
  }
  EXPECT_EQ(Explorer(fake_candidates(), {}, options_for("information")).plan_round().runs.size(), 6u);
}

TEST(Evolution, LearnsFromTenRuns) {
  for (const std::string_view name : {"nsga2", "evolution"}) {
    Explorer explorer(fake_candidates(), {}, options_for(name));
    EXPECT_EQ(explorer.plan_round().runs.size(), 10u) << name;
    drive(explorer, 10);
    EXPECT_EQ(explorer.plan_round().runs.size(), 4u) << name;
  }
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
  const gp::Posterior posterior = explorer.fit().predict(all, 2);
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
