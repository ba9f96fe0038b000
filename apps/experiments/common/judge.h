// Strategies judged on problems whose every answer is known: many replays, and what they say about regret, cost and
// luck. Pages are made from the JSON alone, so that they can be made again without a replay.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "apps/experiments/common/experiment.h"
#include "apps/experiments/common/test_functions.h"
#include "search/replay.h"

namespace kronbit::experiments {

/// A problem with what is wanted of it.
struct JudgeCase {
  std::string name;
  search::Goal goal;
  search::Problem problem;
};

/// "effective", "accuracy", or one of these within a limit: "accuracy@100KB", "accuracy@3.5bits". Throws: InputError.
search::Goal parse_goal(const std::string& text);

/// The function as a search: `candidates` points that fill the box evenly, w their coordinates in [0,1], no bits; the
/// goal is the accuracy.
/// Formula:  accuracy = 0.05 + 0.9 (v - worst) / (best - worst) per task, over the candidates: models of accuracies
///           take logits; the truth, the same of the target without the margins, is in [0,1]
JudgeCase function_case(const TestFunction& function, size_t candidates);

struct JudgeOptions {
  std::vector<std::string> strategies;
  int64_t replays = 100;
  double budget = 30.0;      ///< in runs to the last task
  uint64_t seed = 0;         ///< replay r has seed + r, for all strategies
  double tolerance = 0.002;  ///< of the truth: when the optimum counts as reached
  bool pay_difference = false;
  std::string against = "sensitivity";  ///< paired differences are to this one, where it is among the strategies
  search::ModelOptions model;
};

/// Replays every strategy and sums up. Regret: the highest true score minus that of the incumbent, which is the best of
/// what was told. Quantiles are of ranks, so that replays without an incumbent count as infinite (null).
/// Exactness: a pure function of the arguments for any number of threads, but for the seconds
/// Throws:    Error when a signal came
Json judge(const JudgeCase& the_case, const JudgeOptions& options);

/// The pages of {"cases": [judge() ...], ...}.
Results judged(Json json);

// Statistics of replays; infinite values are allowed.

/// The value of rank round(q (n - 1)). Requires: values.
double quantile(std::vector<double> values, double q);
/// Mean of the middle half: a quarter, rounded down, is dropped at each end.
double interquartile_mean(std::vector<double> values);
struct Interval {
  double value = 0.0, low = 0.0, high = 0.0;
};
/// The interquartile mean with the 2.5 and 97.5 % quantiles over 2000 resamplings.
Interval bootstrapped(const std::vector<double>& values);

}  // namespace kronbit::experiments
