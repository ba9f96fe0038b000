// A search as a run folder: explorer + journal + lock + budget. Killed at any moment and started again with the same
// settings, it goes on and ends with the same evaluations.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "search/journal.h"
#include "search/state.h"

namespace kronbit::search {

/// More failures in a row than this are not the fault of single configurations.
inline constexpr int kMaxFailuresInARow = 9;

/// What a search is started with.
struct SearchSpec {
  std::filesystem::path folder;
  bool resume = false;
  Json settings;  ///< the application's own: network, weights, data, precision ...; must be the same on resume
  Json notes = Json::object();  ///< kept beside the settings; may be others on resume (journal.h)
  Budget budget;                ///< may be larger on resume
  std::vector<double> epochs;   ///< of each task, ascending
  std::vector<Candidate> candidates;
  std::vector<size_t> tries;  ///< candidates that are run first
  ExplorerOptions explorer;
};

struct Progress {
  int64_t evaluations = 0;  ///< done
  int64_t failed = 0;       ///< attempts that failed
  double seconds = 0.0;     ///< journalled, over all workers
  double fraction = 0.0;    ///< of the budget, 0..1
  double eta = 0.0;         ///< seconds until the budget is spent at the present rate; 0 = not known yet
  std::optional<Best> best;
};

/// Called on the thread that explores; each may be empty.
struct Callbacks {
  std::function<void(const Json& line, const Progress&)> journalled;  ///< after each plan, evaluation and failure
  std::function<void(const Best&)> improved;                          ///< Progress::best changed: make best/ anew
  std::function<bool()> stop;        ///< asked a few times per second; true ends the search after the current write
  std::function<bool()> time_is_up;  ///< true: no new evaluation begins; the search ends with those that are running
};

enum class Ended { BudgetSpent, Exhausted, Stopped };

/// Makes (or reopens, resume) the run folder and holds its lock for as long as it lives.
class SearchRun {
 public:
  /// Throws: InputError when the folder is in use by another process, holds a run and `resume` is false, or the run has
  ///         other settings (each is listed) or a larger budget than now; when its journal is damaged (with the line).
  explicit SearchRun(SearchSpec spec);

  /// Plans, submits and journals until the budget is spent, nothing is left to run, or stop() or time_is_up() says so.
  /// Results are journalled in plan order, so the journal is the same for any number of workers but for seconds and
  /// worker.
  /// A failed evaluation is tried again, three times in all; then its candidate is dropped. Refused for the third time
  /// it ends the search instead, before that is journalled: no machine that is asked can do it. A wrong input ends it
  /// at the first failure, once what is planned before it and running has ended, with a line of the event "input".
  /// Throws: InputError for a wrong input; Error when the journal cannot be written, or after kMaxFailuresInARow
  ///         failures without a success between; NumericalError when the model cannot be fitted. Everything journalled
  ///         stays.
  Ended explore(Evaluator& evaluator, const Callbacks& callbacks = {});

  /// Appends a line of the application's own, such as a final result; its "event" must not be one of ours.
  void record(const Json& line);

  const std::filesystem::path& folder() const { return folder_; }
  const RunState& state() const { return state_; }
  const Explorer& explorer() const { return state_.explorer(); }
  const std::vector<Json>& lines() const { return journal_->lines(); }
  Progress progress() const;
  bool resumed() const { return resumed_; }    ///< there was something to go on with
  bool repaired() const { return repaired_; }  ///< the journal ended in a torn line, now in journal.torn

 private:
  void open(bool resume, const Json& settings, const Json& notes, const Budget& budget);
  void submit_waiting(Evaluator& evaluator, std::map<int64_t, int>& running, const std::map<int64_t, Result>& finished,
                      bool time_is_up) const;
  void commit(const Result& result, const Callbacks& callbacks);
  [[noreturn]] void end_by_input(const Result& result, const Callbacks& callbacks);
  void append(const Json& line, const Callbacks& callbacks);
  Request request(const PlannedRun& run, int attempt, int failed_trainings) const;

  std::filesystem::path folder_;
  RunState state_;
  std::optional<FolderLock> lock_;
  std::optional<Journal> journal_;
  bool resumed_ = false, repaired_ = false;
  int failures_in_a_row_ = 0;  // of this process
  double started_at_ = 0.0, fraction_at_start_ = 0.0;
};

/// The state of a run as its journal tells, without lock and without changing anything, also while it is running.
/// explorer: made from the settings that the journal holds. Throws: InputError.
RunState read_state(const JournalContent& content, Explorer explorer, std::vector<double> epochs);

}  // namespace kronbit::search
