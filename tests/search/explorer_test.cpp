#include "search/explorer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>

#include "fake.h"
#include "gp/information.h"
#include "search/ranking.h"
#include "tensor/base/error.h"

namespace kronbit::search {
namespace {

ExplorerOptions options_for(std::vector<double> costs) {
  ExplorerOptions options;
  options.costs = std::move(costs);
  options.strategy.name = "information";
  options.strategy.model.warp = Warp::Auto;
  options.strategy.seed = 5;
  return options;
}

/// Plans and tells until nothing is left or `runs` runs were told.
std::vector<PlannedRun> drive(Explorer& explorer, size_t runs) {
  std::vector<PlannedRun> told;
  while (told.size() < runs) {
    if (explorer.round_finished()) {
      Plan plan = explorer.plan_round();
      if (plan.runs.empty()) break;
      explorer.begin_round(std::move(plan));
    }
    const PlannedRun run = *explorer.first_waiting();
    std::vector<double> accuracies;
    for (int task = 0; task <= run.task; ++task)
      accuracies.push_back(fake_accuracy(explorer.candidates()[run.candidate].bits, task));
    explorer.tell(accuracies);
    told.push_back(run);
  }
  return told;
}

TEST(Explorer, DesignIsTriesFirstThenSpread) {
  const std::vector<Candidate> candidates = fake_candidates();
  const size_t four = find_candidate(candidates, Bits(8, 4));
  const Explorer explorer(candidates, {four, four}, options_for({1, 4, 9}));
  const Plan plan = explorer.plan_round();
  ASSERT_EQ(plan.runs.size(), 7u);  // one try, 2 (2 + 1) points
  EXPECT_EQ(plan.runs[0].candidate, four);
  EXPECT_EQ(plan.runs[0].reason, Reason::Try);
  std::set<size_t> seen;
  for (size_t r = 0; r < plan.runs.size(); ++r) {
    EXPECT_EQ(plan.runs[r].index, static_cast<int64_t>(r));
    EXPECT_TRUE(seen.insert(plan.runs[r].candidate).second);
    EXPECT_EQ(plan.runs[r].task, r == 0 || r % 3 == 1 ? 2 : 0) << r;
  }
  ExplorerOptions other = options_for({1, 4, 9});
  other.strategy.seed = 6;
  EXPECT_NE(Explorer(candidates, {}, other).plan_round().runs[0].candidate, plan.runs[1].candidate);
}

TEST(Explorer, PicksTheBruteForceArgmax) {
  ExplorerOptions options = options_for({1, 4, 9});
  options.strategy.round = 3;
  options.strategy.target_runs = 1;
  Explorer explorer(fake_candidates(5), {}, options);
  drive(explorer, 12);
  ASSERT_TRUE(explorer.round_finished());
  const Plan plan = explorer.plan_round();
  ASSERT_EQ(plan.runs.size(), 3u);

  const Model fitted = explorer.fit();
  const gp::MultiTaskGp& model = fitted.gp();
  std::vector<std::vector<double>> points;
  for (const Candidate& candidate : explorer.candidates()) points.push_back(candidate.w);
  gp::InformationGain gain(model, points);
  std::set<size_t> used;
  int targets = 0;
  for (const PlannedRun& run : plan.runs) {
    double best = -std::numeric_limits<double>::infinity();
    for (size_t c = 0; c < points.size(); ++c)
      for (int task = static_cast<int>(explorer.known(c).size()); task < 3; ++task) {
        if (used.contains(c)) continue;
        if (run.reason == Reason::Target && task < 2) continue;
        const gp::Posterior p = model.predict({points[c]}, 2);
        const double value =
            run.reason == Reason::Target
                ? effective_accuracy(p.mean[0] + 2 * std::sqrt(p.variance[0]), explorer.candidates()[c].bits)
                : gain.run_information(c, static_cast<int>(explorer.known(c).size()), task) /
                      options.costs[static_cast<size_t>(task)];
        best = std::max(best, value);
      }
    const int first = static_cast<int>(explorer.known(run.candidate).size());
    targets += run.reason == Reason::Target;
    if (run.reason == Reason::Target) {
      const gp::Posterior p = model.predict({points[run.candidate]}, 2);
      EXPECT_EQ(run.task, 2);
      EXPECT_NEAR(
          effective_accuracy(p.mean[0] + 2 * std::sqrt(p.variance[0]), explorer.candidates()[run.candidate].bits), best,
          1e-12);
    } else {
      EXPECT_NEAR(run.information / options.costs[static_cast<size_t>(run.task)], best, 1e-11);
    }
    used.insert(run.candidate);
    for (int task = first; task <= run.task; ++task) gain.append(run.candidate, task);
  }
  EXPECT_EQ(targets, 1);
}

TEST(Explorer, NeverRepeatsARunAndStopsWhenAllIsKnown) {
  for (const int target_runs : {0, 4}) {
    ExplorerOptions options = options_for({1, 2});
    options.strategy.target_runs = target_runs;
    Explorer explorer(fake_candidates(4, Curve::line()), {}, options);
    const std::vector<PlannedRun> runs = drive(explorer, 1000);
    EXPECT_LT(runs.size(), 1000u);
    EXPECT_TRUE(explorer.plan_round().runs.empty());
    std::vector<int> highest(explorer.candidates().size(), -1);
    for (const PlannedRun& run : runs) {
      EXPECT_GT(run.task, highest[run.candidate]);
      highest[run.candidate] = run.task;
    }
    for (const int task : highest) EXPECT_EQ(task, 1);
  }
}

TEST(Explorer, OneConfigurationEndsAfterOneRun) {
  const std::vector<Candidate> all = fake_candidates();
  Explorer explorer({all[17]}, {}, options_for({1, 2, 3}));
  EXPECT_EQ(drive(explorer, 100).size(), 1u);
  EXPECT_TRUE(explorer.plan_round().runs.empty());
}

TEST(Explorer, OneLayerAndOneTask) {
  Explorer explorer(fake_candidates(1), {}, options_for({1}));
  ASSERT_EQ(explorer.candidates().size(), 8u);
  EXPECT_EQ(drive(explorer, 100).size(), 8u);
}

TEST(Explorer, EqualAccuraciesEverywhere) {
  Explorer explorer(fake_candidates(6), {}, options_for({1, 4}));
  for (int round = 0; round < 3; ++round) {
    explorer.begin_round(explorer.plan_round());
    while (!explorer.round_finished())
      explorer.tell(std::vector<double>(static_cast<size_t>(explorer.first_waiting()->task) + 1, 0.1));
  }
  EXPECT_GT(explorer.fit().gp().observations().size(), 10u);
}

TEST(Explorer, DroppedCandidatesAreNeverPlannedAgain) {
  Explorer explorer(fake_candidates(4, Curve::line()), {}, options_for({1, 2}));
  explorer.begin_round(explorer.plan_round());
  const size_t bad = explorer.first_waiting()->candidate;
  explorer.drop();
  for (const PlannedRun& run : drive(explorer, 1000)) EXPECT_NE(run.candidate, bad);
  EXPECT_TRUE(explorer.known(bad).empty());
}

TEST(Explorer, AllFailingStillEnds) {
  Explorer explorer(fake_candidates(4, Curve::line()), {}, options_for({1, 2}));
  size_t runs = 0;
  for (Plan plan = explorer.plan_round(); !plan.runs.empty(); plan = explorer.plan_round()) {
    explorer.begin_round(plan);
    for (; !explorer.round_finished(); ++runs) explorer.drop();
  }
  EXPECT_EQ(runs, explorer.candidates().size());
}

TEST(Explorer, PromotionKeepsTheFirstValues) {
  const std::vector<Candidate> all = fake_candidates();
  Explorer explorer({all[3], all[200]}, {}, options_for({1, 2}));
  explorer.begin_round({0, {{0, 0, 0, Reason::Design, 0.0}}, {}, false, {}, false, {}});
  explorer.tell({0.25});
  explorer.begin_round({1, {{1, 0, 1, Reason::Information, 0.0}}, {}, false, {}, false, {}});
  explorer.tell({0.5, 0.75});
  EXPECT_EQ(explorer.known(0), (std::vector<double>{0.25, 0.75}));
  EXPECT_EQ(explorer.fit().gp().observations().size(), 2u);
}

TEST(Explorer, OptionsAreChecked) {
  const std::vector<Candidate> all = fake_candidates();
  EXPECT_THROW(Explorer(all, {}, options_for({})), InputError);
  EXPECT_THROW(Explorer(all, {}, options_for({0, 1})), InputError);
  EXPECT_THROW(Explorer(all, {}, options_for({2, 1})), InputError);
  EXPECT_THROW(Explorer(all, {}, options_for({1, std::nan("")})), InputError);
}

TEST(Ranking, EffectiveAccuracy) {
  EXPECT_DOUBLE_EQ(effective_accuracy(0.9, Bits(20, 4)), 0.9);
  EXPECT_NEAR(effective_accuracy(0.9, Bits(20, 3)), 1.1, 1e-15);
  EXPECT_NEAR(effective_accuracy(0.9, Bits(20, 5), 50), 0.5, 1e-15);
  EXPECT_EQ(parse_by("bops"), By::Bops);
  EXPECT_THROW(parse_by("best"), InputError);
}

TEST(Ranking, ParetoFrontMatchesBruteForce) {
  Rng rng(4, Purpose::Test);
  std::vector<double> bytes, accuracy;
  for (int i = 0; i < 300; ++i) {
    bytes.push_back(static_cast<double>(rng.below(40)));
    accuracy.push_back(static_cast<double>(rng.below(20)) / 20.0);
  }
  std::set<std::pair<double, double>> expected, found;
  for (size_t a = 0; a < bytes.size(); ++a) {
    bool dominated = false;
    for (size_t b = 0; b < bytes.size(); ++b)
      dominated |=
          bytes[b] <= bytes[a] && accuracy[b] >= accuracy[a] && (bytes[b] < bytes[a] || accuracy[b] > accuracy[a]);
    if (!dominated) expected.insert({bytes[a], accuracy[a]});
  }
  const std::vector<size_t> front = pareto_front(bytes, accuracy);
  for (const size_t index : front) EXPECT_TRUE(found.insert({bytes[index], accuracy[index]}).second);
  EXPECT_EQ(found, expected);
}

TEST(Ranking, FindsTheBestOfAKnownFunction) {
  Explorer explorer(fake_candidates(), {}, options_for({1, 4, 9}));
  drive(explorer, 34);
  const std::vector<Ranked> ranked = rank(explorer.fit(), explorer, explorer.candidates(), Goal{}, Limits{});
  ASSERT_EQ(ranked.size(), explorer.candidates().size());
  double best = 0.0;
  for (const Candidate& candidate : explorer.candidates())
    best = std::max(best, effective_accuracy(fake_accuracy(candidate.bits, 2), candidate.bits));
  const Bits& chosen = explorer.candidates()[ranked[0].candidate].bits;
  EXPECT_GT(effective_accuracy(fake_accuracy(chosen, 2), chosen), best - 0.02) << format_bits(chosen);
  size_t measured = 0, front = 0;
  for (size_t r = 0; r < ranked.size(); ++r) {
    if (r > 0) {
      EXPECT_GE(ranked[r - 1].score, ranked[r].score);
    }
    measured += ranked[r].measured.has_value();
    front += ranked[r].on_front;
    EXPECT_NEAR(ranked[r].accuracy, fake_accuracy(explorer.candidates()[ranked[r].candidate].bits, 2), 0.3);
  }
  EXPECT_GT(measured, 3u);
  EXPECT_GT(front, 3u);
}

TEST(Ranking, LimitsAndFloors) {
  Explorer explorer(fake_candidates(), {}, options_for({1, 4, 9}));
  drive(explorer, 14);
  const Model model = explorer.fit();
  Goal goal;
  goal.by = By::Size;
  goal.min_accuracy = 0.6;
  const std::vector<Ranked> by_size = rank(model, explorer, explorer.candidates(), goal, {});
  ASSERT_GE(by_size[0].accuracy, 0.6);
  for (const Ranked& entry : by_size) {
    if (entry.accuracy >= 0.6) {
      EXPECT_GE(explorer.candidates()[entry.candidate].cost.bytes,
                explorer.candidates()[by_size[0].candidate].cost.bytes);
    }
  }
  EXPECT_LT(by_size.back().accuracy, 0.6);
  Limits limits;
  limits.max_bytes = 2000;
  for (const Ranked& entry : rank(model, explorer, explorer.candidates(), Goal{}, limits))
    EXPECT_LE(explorer.candidates()[entry.candidate].cost.bytes, 2000);
}

TEST(Ranking, ComparisonsOfEqualSize) {
  const CostOf cost = [](const Bits& bits) {  // later layers are larger
    Cost sum;
    for (size_t i = 0; i < bits.size(); ++i) sum.bytes += static_cast<double>((i + 1) * static_cast<size_t>(bits[i]));
    return sum;
  };
  EXPECT_EQ(nearest_uniform(4, 31.0, cost), Bits(4, 3));
  const Curve curve = Curve::bezier(1);
  Candidate candidate = {{}, {0.9, 0.1}, {}};
  candidate.bits = curve.bits(candidate.w, 12);
  candidate.cost = cost(candidate.bits);
  const Bits back = reversed_of_equal_size(curve, candidate, cost);
  EXPECT_LT(back.front(), back.back());
  EXPECT_NEAR(cost(back).bytes, candidate.cost.bytes, 0.06 * candidate.cost.bytes);
  const Bits plainly(candidate.bits.rbegin(), candidate.bits.rend());
  EXPECT_GT(cost(plainly).bytes, 1.2 * candidate.cost.bytes);
}

TEST(Ranking, WhatNoCurveDrawsIsReversedItself) {
  const CostOf cost = [](const Bits& bits) {
    return Cost{.bytes = static_cast<double>(std::accumulate(bits.begin(), bits.end(), 0))};
  };
  const Curve curve = Curve::bezier(1);
  const Bits bits = {8, 1, 8, 1, 6, 1, 8, 2};
  const Candidate free{bits, curve.fit(bits), cost(bits)};
  EXPECT_EQ(reversed_of_equal_size(curve, free, cost), Bits(bits.rbegin(), bits.rend()));
}

TEST(Ranking, WhatFailedForGoodIsNoAnswer) {
  Explorer explorer(fake_candidates(), {}, options_for({1, 4, 9}));
  drive(explorer, 14);
  while (!explorer.round_finished()) drive(explorer, 1);
  const auto ranked = [&] { return rank(explorer.fit(), explorer, explorer.candidates(), Goal{}, Limits{}); };
  const std::vector<Ranked> before = ranked();
  const auto run = [&](size_t candidate) {
    Plan plan;
    plan.round = explorer.rounds();
    plan.runs = {{explorer.history().runs, candidate, 2}};
    explorer.begin_round(std::move(plan));
  };
  const auto open = [&](const Ranked& r) { return explorer.known(r.candidate).empty(); };
  const size_t best = std::find_if(before.begin(), before.end(), open)->candidate;
  run(best);
  explorer.drop();
  const std::vector<Ranked> after = ranked();
  EXPECT_EQ(after.size(), before.size() - 1);
  for (const Ranked& r : after) EXPECT_NE(r.candidate, best);
}

TEST(Goal, ByLatencyThePromptestThatIsAccurateEnough) {
  Goal goal;
  goal.by = parse_by("latency");
  goal.min_accuracy = 0.9;
  goal.limits.max_milliseconds = 3;
  const Bits bits(4, 4);
  const Cost fast{.milliseconds = 1}, slow{.milliseconds = 2}, slowest{.milliseconds = 4};
  EXPECT_GT(score(goal, 0.9, bits, fast), score(goal, 0.99, bits, slow));
  EXPECT_GT(score(goal, 0.9, bits, slow), score(goal, 0.89, bits, fast));
  EXPECT_GT(score(goal, 0.1, bits, fast), score(goal, 1.0, bits, slowest));
}

TEST(Goal, OutsideTheLimitsIsWorseThanAnything) {
  Goal goal;
  goal.by = By::Accuracy;
  goal.min_accuracy = 0.9;
  goal.limits.max_bytes = 100;
  const Bits bits(4, 4);
  const Cost small{.bytes = 100}, large{.bytes = 101};
  EXPECT_GT(score(goal, 0.95, bits, small), score(goal, 0.5, bits, small));
  EXPECT_GT(score(goal, 0.0, bits, small), score(goal, 1.0, bits, large));
  EXPECT_GT(score(goal, 0.8, bits, large), score(goal, 0.7, bits, large));
}

}  // namespace
}  // namespace kronbit::search
