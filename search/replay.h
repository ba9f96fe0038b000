// A search on a problem whose every answer is known, a recorded table or a formula: what a strategy would have found,
// and when. Nothing is trained, so strategies can be compared over many seeds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "search/allocation.h"
#include "search/explorer.h"
#include "search/table.h"

namespace kronbit::search {

/// What one training of a candidate would tell, per task.
struct Answers {
  std::vector<double> accuracy;         ///< what a search is told
  std::vector<double> cost;             ///< from the start to the end of this task, rising
  std::vector<double> divergence = {};  ///< as a search is told it; empty where there is none
};

struct Problem {
  std::vector<Candidate> candidates;
  std::vector<double> costs;                  ///< of each task, as strategies see them
  std::vector<std::vector<Answers>> answers;  ///< per candidate: one for each recorded training
  std::vector<double> truth;                  ///< per candidate: what a search never sees, at the last task
  std::vector<double> truth_error;            ///< standard error of that
};

/// The table as a search for `goal`: the configurations within its limits, in the table's order. Weights are those
/// recorded where they are of `curve`, else curve.fit(). Costs are median_seconds() for every training; truth is the
/// mean test accuracy p over trainings.
/// Formula:  truth_error = s / sqrt(trainings), s² = max(the variance between trainings, pooled over all configurations
///           with several; p (1 - p) / test images: there need not be any)
/// Throws:   InputError when nothing is within the limits or the errors are not of these layers
Problem problem_of(const Table& table, const Curve& curve, const std::optional<ErrorTable>& errors, const Goal& goal);

struct ReplayOptions {
  StrategyOptions strategy;
  uint64_t seed = 0;            ///< of the trainings drawn; strategies compared on one seed see the same values
  double budget = 0.0;          ///< in the problem's costs: ends before the first run that goes beyond
  int64_t most_runs = -1;       ///< ends after so many; -1 = no limit
  bool pay_difference = false;  ///< a promoted candidate pays what is beyond its last task, not everything again
  bool model_choice = false;    ///< at the end, also ask the model for the best candidate
};

/// After a run.
struct ReplayStep {
  double cost = 0.0;  ///< so far
  size_t candidate = 0;
  int task = 0;
  /// The best score of what was told, among candidates run to the last task (the first of equal ones); none yet.
  std::optional<size_t> incumbent;
};

struct Replay {
  std::vector<ReplayStep> steps;
  std::optional<size_t> model_choice;
  std::vector<int64_t> bought;   ///< runs that ended at each task
  double thought_seconds = 0.0;  ///< wall clock of the strategy itself
  int64_t rounds = 0, fits = 0;  ///< planned; with a model fitted
  bool exhausted = false;        ///< nothing was left to run
  std::string problem;           ///< why it ended early; "" = it did not
  const std::optional<size_t>& incumbent() const { return steps.back().incumbent; }
};

/// The training of each candidate that is drawn for a seed: one for all tasks, so that its values belong together.
std::vector<size_t> drawn_trainings(const Problem& problem, uint64_t seed);

/// Formula:  cost += answers.cost[task], as a training starts from the beginning
/// Exactness: a pure function of problem and options but for thought_seconds.
Replay replay(const Problem& problem, const ReplayOptions& options);

/// What a search knows after some runs, in their order: what models are fitted to.
struct ReplayedRun {
  size_t candidate = 0;
  int task = 0;
};
History history_of(const Problem& problem, const std::vector<ReplayedRun>& runs, uint64_t seed);

/// The highest score of the truth, and of what is told in the trainings drawn.
struct Optimum {
  size_t candidate = 0;
  double score = 0.0;
};
Optimum true_optimum(const Problem& problem, const Goal& goal);
Optimum drawn_optimum(const Problem& problem, const Goal& goal, uint64_t seed);

}  // namespace kronbit::search
