// The explorer keeps what was planned and told, and asks its strategy what to run next. It knows nothing of networks,
// processes or files; run.h gives it those.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "search/history.h"
#include "search/model.h"
#include "search/strategy.h"

namespace kronbit::search {

struct ExplorerOptions {
  std::vector<double> costs;  ///< lambda of each task, ascending with the tasks; any unit
  StrategyOptions strategy;
};

/// Plans in rounds. The first is the tries at the last task, then whatever the strategy begins with.
/// Exactness: a pure function of options, candidates and what was told, in order; not of time or number of workers.
class Explorer {
 public:
  Explorer(std::vector<Candidate> candidates, std::vector<size_t> tries, ExplorerOptions options);

  /// The next round. Empty when nothing is left to run.
  /// Requires: round_finished(). Throws: NumericalError when the model cannot be fitted.
  Plan plan_round() const;
  /// Begins a round: one just planned, or one read back from a journal.
  void begin_round(Plan plan);
  bool round_finished() const { return told_ == plan_.runs.size(); }
  /// Whether begin_round() can take this plan: the right round, its runs numbered on.
  bool is_next(const Plan& plan) const;
  /// The runs of the round that were not told yet, in order.
  std::vector<PlannedRun> waiting() const;
  /// The first of them, nullptr when there is none.
  const PlannedRun* first_waiting() const { return round_finished() ? nullptr : &plan_.runs[told_]; }

  /// The result of the first waiting run: accuracies of the tasks 0..task, and divergences of the same tasks or none.
  /// What was already known of a candidate stays.
  void tell(const std::vector<double>& accuracies, const std::vector<double>& divergences = {});
  /// The first waiting run failed for good: its candidate is never run again, and nothing enters the model.
  void drop();

  const History& history() const { return history_; }
  const std::vector<Candidate>& candidates() const { return history_.candidates; }
  const std::vector<size_t>& tries() const { return history_.tries; }
  int64_t rounds() const { return history_.rounds; }  ///< begun
  const ExplorerOptions& options() const { return options_; }
  const Goal& goal() const { return options_.strategy.goal; }
  uint64_t seed() const { return options_.strategy.seed; }
  const Plan& round() const { return plan_; }
  int tasks() const { return history_.tasks(); }
  /// Accuracies known of a candidate, tasks 0, 1, ... up to the highest one run.
  const std::vector<double>& known(size_t candidate) const { return history_.known[candidate]; }
  bool anything_known() const { return history_.anything_known(); }
  /// fit_model() of the history, widened(). Requires: anything_known().
  Model fit(gp::FitReport* report = nullptr) const;

 private:
  History history_;
  ExplorerOptions options_;
  std::shared_ptr<const Strategy> strategy_;
  Plan plan_;
  size_t told_ = 0;
};

}  // namespace kronbit::search
