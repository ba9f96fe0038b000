// The explorer decides what to run next: the run that tells most about the last task per unit of cost. It knows nothing
// of networks, processes or files; run.h gives it those.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gp/fit.h"
#include "search/goal.h"
#include "search/space.h"

namespace kronbit::search {

/// Why a run was planned.
enum class Reason { Try, Design, Information, Target };
std::string_view name_of(Reason reason);
/// Throws: InputError naming `where`.
Reason parse_reason(std::string_view text, std::string_view where);

/// One training to plan or already planned; it passes the tasks 0..task, and each gives an observation.
struct PlannedRun {
  int64_t index = 0;  ///< 0, 1, ... over the whole search
  size_t candidate = 0;
  int task = 0;
  Reason reason = Reason::Design;
  double information = 0.0;  ///< nats about the last task; 0 where it was not computed
};

/// The runs of one round, and how the model they rest on was fitted.
struct Plan {
  int64_t round = 0;
  std::vector<PlannedRun> runs;
  bool fitted = false;  ///< false for the initial design
  gp::FitReport fit;
  bool logit_warp = false;
  gp::Hyperparameters hyperparameters;
};

struct ExplorerOptions {
  std::vector<double> costs;  ///< lambda of each task, ascending with the tasks; any unit
  int round = 4;        ///< runs planned together; the model is refitted after each round. Not a number of workers
  int target_runs = 1;  ///< of each round: runs where the goal may be reached best; 0 = the paper's pure exploration
  Goal goal;            ///< of the target runs
  uint64_t seed = 0;
  int fit_starts = 2;
};

/// Plans in rounds. Round 0 is the initial design; a later round refits the model to everything told so far and then
/// picks, one after the other and taking what is already picked as observed:
///   target_runs times: the candidate of the highest score(goal, mean + 2 sd) at the last task;
///   then until the round is full: argmax over candidates x and tasks l of I(run to l at x; f_m | y) / lambda_l,
///   exactly over all candidates (ties: lowest index, lowest task).
/// A candidate is run at most once per round, and again only to a higher task than before.
/// Design:   the tries at the last task; then 2 (d + 1) candidates, d the number of weights, nearest to the first
/// points
///           of a space-filling sequence shifted by the seed: every third, from the first on, at the last task, the
///           others at task 0.
/// Exactness: a pure function of options, candidates and what was told, in order; not of time or number of workers.
/// Source:   paper §3.2 "Exploration Phase"; target runs after Song, Chen, Yue 2019 (MF-MI-Greedy), here by an upper
///           confidence bound
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

  /// The result of the first waiting run: accuracies of the tasks 0..task. What was already known of a candidate stays.
  void tell(const std::vector<double>& accuracies);
  /// The first waiting run failed for good: its candidate is never run again, and nothing enters the model.
  void drop();

  const std::vector<Candidate>& candidates() const { return candidates_; }
  const std::vector<size_t>& tries() const { return tries_; }
  int64_t rounds() const { return rounds_; }  ///< begun
  const ExplorerOptions& options() const { return options_; }
  const Plan& round() const { return plan_; }
  int tasks() const { return static_cast<int>(options_.costs.size()); }
  /// Accuracies known of a candidate, tasks 0, 1, ... up to the highest one run.
  const std::vector<double>& known(size_t candidate) const { return known_[candidate]; }
  bool dropped(size_t candidate) const { return dropped_[candidate]; }
  const std::vector<gp::Observation>& observations() const { return observations_; }

  /// The model fitted to everything told so far: on the accuracies or on their logits, whichever predicts left-out
  /// configurations better (sum of leave-one-x-out log densities). Requires: an observation.
  gp::MultiTaskGp fit(gp::FitReport* report = nullptr) const;

 private:
  std::vector<PlannedRun> design() const;
  std::vector<PlannedRun> informed_runs(const gp::MultiTaskGp& model) const;
  bool may_run(size_t candidate, int task) const;

  std::vector<Candidate> candidates_;
  std::vector<size_t> tries_;
  ExplorerOptions options_;
  std::vector<std::vector<double>> known_;
  std::vector<bool> dropped_;
  std::vector<gp::Observation> observations_;
  Plan plan_;
  size_t told_ = 0;
  int64_t rounds_ = 0, runs_ = 0;
};

}  // namespace kronbit::search
