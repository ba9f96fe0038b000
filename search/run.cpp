#include "search/run.h"

#include <chrono>

#include "tensor/base/error.h"
#include "tensor/io/text.h"
#include "tensor/rng.h"

namespace kronbit::search {
namespace {

constexpr double kPollSeconds = 0.1;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

std::string journal_path(const std::filesystem::path& folder) { return printable((folder / kJournalName).string()); }

/// Throws: InputError unless `wanted` is the same kind of budget and not smaller.
void check_not_smaller(const Budget& old_budget, const Budget& wanted, const std::string& where) {
  const bool same_kind = (old_budget.evaluations > 0) == (wanted.evaluations > 0);
  if (!same_kind || wanted.evaluations < old_budget.evaluations || wanted.seconds < old_budget.seconds)
    input_error(where, "budget: wanted at least the run's {} (a budget is a total over resumes), got {}",
                old_budget.text(), wanted.text());
}

}  // namespace

SearchRun::SearchRun(SearchSpec spec)
    : folder_(std::move(spec.folder)),
      state_(Explorer(std::move(spec.candidates), std::move(spec.tries), std::move(spec.explorer)),
             std::move(spec.epochs), spec.budget) {
  make_folder(folder_);
  lock_.emplace(folder_);
  open(spec.resume, spec.settings, spec.notes, spec.budget);
}

void SearchRun::open(bool resume, const Json& settings, const Json& notes, const Budget& budget) {
  const JournalContent content = read_journal(folder_);
  if (!content.lines.empty() && !resume)
    input_error(printable(folder_.string()),
                "wanted a folder without a run, got one with {} journal lines: resume it or name another",
                content.lines.size());
  if (!content.lines.empty()) {
    const std::string where = journal_path(folder_);
    check_same_settings(get_object(content.lines[0], "settings", where), settings, where);
    state_.apply_all(content.lines, where);
    check_not_smaller(state_.budget(), budget, where);
  }
  remove_stale_temporaries(folder_);
  journal_.emplace(folder_, content);
  resumed_ = !content.lines.empty();
  repaired_ = !content.torn.empty();
  if (!resumed_) {
    Json line = state_.settings_line(settings);
    line.update(notes);
    append(line, {});
    return;
  }
  if (const std::optional<Json> line = resumed_line(content.lines, notes)) append(*line, {});
  if (budget.evaluations > state_.budget().evaluations || budget.seconds > state_.budget().seconds)
    append(state_.budget_line(budget), {});
}

void SearchRun::append(const Json& line, const Callbacks& callbacks) {
  journal_->append(line);
  const std::optional<Best> before = state_.best();
  state_.apply(journal_->lines().back(), journal_path(folder_));
  if (callbacks.journalled) callbacks.journalled(journal_->lines().back(), progress());
  const std::optional<Best>& after = state_.best();
  const bool same = before.has_value() == after.has_value() &&
                    (!after || (before->candidate == after->candidate && before->task == after->task));
  if (!same && callbacks.improved) callbacks.improved(*after);
}

void SearchRun::record(const Json& line) {
  const std::string& event = get_string(line, "event", "journal");
  for (const char* ours : {"settings", "resumed", "budget", "plan", "evaluation", "failed", "exhausted"})
    KB_CHECK(event != ours);
  append(line, {});
}

Request SearchRun::request(const PlannedRun& run, int attempt, int failed_trainings) const {
  const Candidate& candidate = explorer().candidates()[run.candidate];
  // A chain of generators makes the seed a function of every bit of the list.
  uint64_t seed = Rng(explorer().seed(), Purpose::Search, {2, 1 + static_cast<uint64_t>(failed_trainings)}).next();
  for (const int b : candidate.bits) seed = Rng(seed, Purpose::Search, {static_cast<uint64_t>(b)}).next();
  return {run.index, attempt, candidate.bits, candidate.w, run.task, seed >> 1};
}

void SearchRun::submit_waiting(Evaluator& evaluator, std::map<int64_t, int>& running,
                               const std::map<int64_t, Result>& finished, bool time_is_up) const {
  int64_t before = 0;  // runs in front of this one, which may all succeed
  for (const PlannedRun& run : explorer().waiting()) {
    const Budget& budget = state_.budget();
    const bool affordable =
        budget.evaluations > 0 ? state_.evaluations() + before < budget.evaluations : state_.seconds() < budget.seconds;
    const bool allowed = affordable && !time_is_up;
    const bool paid_behind_it = before == 0 && !finished.empty();  // results that only wait for this one
    if (!(allowed || paid_behind_it) || static_cast<int>(running.size()) >= evaluator.slots()) return;
    if (!running.contains(run.index) && !finished.contains(run.index)) {
      const int attempt = before == 0 ? state_.failed_attempts() + 1 : 1;
      evaluator.submit(request(run, attempt, before == 0 ? state_.failed_trainings() : 0));
      running[run.index] = attempt;
    }
    ++before;
  }
}

void SearchRun::commit(const Result& result, const Callbacks& callbacks) {
  const std::optional<std::string> failure = state_.unusable(result);
  if (failure && result.fault == Fault::Refused && state_.failed_attempts() + 1 >= kAttempts)
    throw Error(fmt::format("[search] attempt {} of an evaluation was refused: {}", kAttempts, *failure));
  append(failure ? state_.failed_line(result) : state_.evaluation_line(result), callbacks);
  failures_in_a_row_ = failure ? failures_in_a_row_ + 1 : 0;
  if (failures_in_a_row_ >= kMaxFailuresInARow)
    throw Error(fmt::format("[search] {} evaluations in a row failed, the last one: {}", failures_in_a_row_, *failure));
}

void SearchRun::end_by_input(const Result& result, const Callbacks& callbacks) {
  Json line = {{"event", "input"}, {"reason", result.reason}, {"worker", result.worker}};
  if (!result.details.is_null()) line.update(result.details);
  append(line, callbacks);
  throw InputError(result.reason + "; nothing is lost, --resume goes on after the repair");
}

Ended SearchRun::explore(Evaluator& evaluator, const Callbacks& callbacks) {
  KB_CHECK(evaluator.slots() >= 1);
  started_at_ = now();
  fraction_at_start_ = state_.budget_fraction();
  failures_in_a_row_ = 0;
  std::map<int64_t, int> running;      // index -> attempt
  std::map<int64_t, Result> finished;  // waiting for their turn
  std::optional<Result> wrong_input;   // of the first that met one: nothing is submitted any more
  for (;;) {
    if (callbacks.stop && callbacks.stop()) {
      evaluator.cancel();
      return Ended::Stopped;
    }
    const bool time_is_up = callbacks.time_is_up && callbacks.time_is_up();
    if (explorer().round_finished()) {
      if (state_.budget_spent()) return Ended::BudgetSpent;
      if (time_is_up) return Ended::Stopped;
      const Plan plan = explorer().plan_round();
      if (plan.runs.empty()) {
        if (!state_.exhausted()) append(RunState::exhausted_line(), callbacks);
        return Ended::Exhausted;
      }
      append(state_.plan_line(plan), callbacks);
    }
    if (wrong_input && (running.empty() || running.begin()->first > wrong_input->index))
      end_by_input(*wrong_input, callbacks);
    if (!wrong_input) submit_waiting(evaluator, running, finished, time_is_up);
    if (running.empty()) return state_.budget_spent() ? Ended::BudgetSpent : Ended::Stopped;
    std::optional<Result> result = evaluator.wait(kPollSeconds);
    if (!result) continue;
    const auto known = running.find(result->index);
    KB_CHECK(known != running.end() && known->second == result->attempt);
    running.erase(known);
    if (!result->ok && result->fault == Fault::Input) {
      if (!wrong_input || result->index < wrong_input->index) wrong_input = std::move(*result);
      continue;
    }
    finished[result->index] = std::move(*result);
    for (const PlannedRun* next = explorer().first_waiting(); next != nullptr && finished.contains(next->index);
         next = explorer().first_waiting())
      commit(finished.extract(next->index).mapped(), callbacks);
  }
}

Progress SearchRun::progress() const {
  Progress progress = {state_.evaluations(), state_.failed(), state_.seconds(), state_.budget_fraction(), 0.0,
                       state_.best()};
  const double gained = progress.fraction - fraction_at_start_;
  if (gained > 0.0 && started_at_ > 0.0) progress.eta = (now() - started_at_) * (1.0 - progress.fraction) / gained;
  return progress;
}

RunState read_state(const JournalContent& content, Explorer explorer, std::vector<double> epochs) {
  if (content.lines.empty()) input_error("journal", "wanted a run with its settings, got none");
  RunState state(std::move(explorer), std::move(epochs), budget_of(content.lines[0], "journal line 1"));
  state.apply_all(content.lines, kJournalName);
  return state;
}

}  // namespace kronbit::search
