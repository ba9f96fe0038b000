// What strategies share: what is still open within the limits of the goal, and a round planned run by run on one model.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "gp/information.h"
#include "search/acquisition.h"
#include "search/strategy.h"

namespace kronbit::search {

/// May be run to `task`, and within the limits of the goal.
bool is_open(const History& history, const Goal& goal, size_t candidate, int task);
std::vector<size_t> open_candidates(const History& history, const Goal& goal, int task);
/// The first `count` candidates open at `task`: where there is nothing to fit a model to.
std::vector<PlannedRun> next_in_order(const History& history, const Goal& goal, int task, int count);
/// The history of a search that has only the last task: what single-fidelity strategies see.
History last_task_only(const History& history);
/// Notes in the plan how the model was fitted.
Model fit_for(Plan& plan, const History& history, const StrategyOptions& options);

/// A round that is planned one run after the other: every run taken is believed to give its median, so that the next
/// one is sought elsewhere.
class Batch {
 public:
  /// history and goal have to outlive this.
  Batch(const History& history, const Goal& goal, Model model);

  /// What a run of a candidate at the last task is worth, from the posterior there; larger is better.
  using Value = std::function<double(size_t candidate, double mean, double sd)>;
  /// argmax value over what is open at the last task. Ties: best score of the mean, then lowest index.
  std::optional<PlannedRun> best_at_last(const Value& value, Reason reason) const;
  /// best_at_last() by log_goal_improvement().
  std::optional<PlannedRun> most_improving() const;
  /// argmax I(run to l at x; f_m | y) / lambda_l over candidates x (`among`, or all) and tasks l;
  /// ties: earliest candidate, lowest task. Candidates outside the limits are left out.
  std::optional<PlannedRun> most_informative(const std::vector<size_t>* among = nullptr);
  /// The candidates open at the last task with the largest log_goal_improvement(), best first.
  std::vector<size_t> most_promising(size_t count) const;
  void take(const PlannedRun& run);

  bool is_open_here(size_t candidate, int task) const;
  const std::vector<PlannedRun>& runs() const { return runs_; }
  const Model& model() const { return model_; }
  const gp::Posterior& at_last() const { return at_last_; }
  /// The highest score of a posterior mean among what was run, or is taken here, at the last task.
  const Incumbent& incumbent() const { return incumbent_; }
  /// MultiTaskGp::quantiles() of all candidates at the last task.
  std::vector<double> quantiles(double sds) const;
  double sd(size_t candidate) const;
  double log_improvement(size_t candidate) const;

 private:
  gp::InformationGain& gain();
  void raise_incumbent(size_t candidate);

  const History& history_;
  const Goal& goal_;
  Model model_;  // believes in runs_
  gp::Posterior at_last_;
  Incumbent incumbent_;
  std::vector<bool> used_;
  std::vector<PlannedRun> runs_;
  std::optional<gp::InformationGain> gain_;
};

}  // namespace kronbit::search
