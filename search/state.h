// Where a search stands: the explorer and the sums, brought forward by journal lines only. A live search writes a line
// and applies it; a resumed one, or a report, applies the lines it reads. So both are in the same state by
// construction.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "search/evaluator.h"
#include "search/explorer.h"
#include "search/journal.h"

namespace kronbit::search {

/// How much may be spent, in all, over any number of resumes. Exactly one is above zero.
struct Budget {
  int64_t evaluations = 0;  ///< that gave a result; failed ones do not count
  double seconds = 0.0;     ///< sum of the journalled seconds of all evaluations, failed ones too, over all workers
  /// "65evals", "90s", "30min", "2h". Throws: InputError.
  static Budget parse(std::string_view text);
  std::string text() const;
};

/// The best configuration measured so far: that of the highest score at the highest task that was run.
struct Best {
  size_t candidate = 0;
  int task = 0;
  double accuracy = 0.0;
  double score = 0.0;
};

/// Failures of one run after which its candidate is dropped.
inline constexpr int kAttempts = 3;

class RunState {
 public:
  /// epochs: of each task, ascending.
  RunState(Explorer explorer, std::vector<double> epochs, Budget budget);

  // Lines. n and crc are added by the journal.
  Json settings_line(const Json& application_settings) const;
  Json budget_line(const Budget& budget) const;
  Json plan_line(const Plan& plan) const;
  static Json exhausted_line() { return {{"event", "exhausted"}}; }
  /// Of the first waiting run. Requires: nothing against it in unusable().
  Json evaluation_line(const Result& result) const;
  /// Of the first waiting run.
  Json failed_line(const Result& result) const;

  /// Nothing when the result can be told: ok, as many accuracies as tasks, all in [0,1]; otherwise why not.
  std::optional<std::string> unusable(const Result& result) const;

  /// Brings the state forward. Lines of other events change nothing.
  /// Throws: InputError naming `where` when the line does not fit the state: another network, another order.
  void apply(const Json& line, std::string_view where);
  /// The lines of a journal, the first being its settings. Throws: InputError naming the line.
  void apply_all(const std::vector<Json>& lines, std::string_view journal);

  const Explorer& explorer() const { return explorer_; }
  const std::vector<double>& epochs() const { return epochs_; }
  const Budget& budget() const { return budget_; }
  int64_t evaluations() const { return evaluations_; }
  int64_t failed() const { return failed_; }
  double seconds() const { return seconds_; }
  /// Attempts of the first waiting run that failed.
  int failed_attempts() const { return failed_attempts_; }
  /// Those of them whose training broke down, so that the next one draws another seed.
  int failed_trainings() const { return failed_trainings_; }
  bool budget_spent() const;
  /// The last plan was empty: nothing is left that is worth running, whatever the budget.
  bool exhausted() const { return exhausted_; }
  double budget_fraction() const;
  const std::optional<Best>& best() const { return best_; }

 private:
  Json search_settings() const;
  Json run_json(const PlannedRun& run, const Candidate& candidate) const;
  Plan plan_of(const Json& line, std::string_view where) const;
  void apply_evaluation(const Json& line, std::string_view where);
  void apply_failure(const Json& line, std::string_view where);
  const PlannedRun& expected_run(const Json& line, std::string_view where) const;
  void update_best(size_t candidate);

  Explorer explorer_;
  std::vector<double> epochs_;
  Budget budget_;
  int failed_attempts_ = 0, failed_trainings_ = 0;
  int64_t evaluations_ = 0, failed_ = 0;
  double seconds_ = 0.0;
  bool exhausted_ = false;
  std::optional<Best> best_;
};

/// The budget in a settings or budget line. Throws: InputError.
Budget budget_of(const Json& line, std::string_view where);

}  // namespace kronbit::search
