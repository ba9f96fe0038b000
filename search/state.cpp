#include "search/state.h"

#include <algorithm>
#include <cmath>

#include "tensor/base/error.h"
#include "tensor/io/crc32.h"
#include "tensor/io/parse.h"
#include "tensor/io/text.h"

namespace kronbit::search {
namespace {

constexpr double kMaxSeconds = 1e12;

Json json_of(const Budget& budget) {
  return budget.evaluations > 0 ? Json{{"evaluations", budget.evaluations}} : Json{{"seconds", budget.seconds}};
}

Json rows_of(const gp::Matrix& matrix) {
  Json rows = Json::array();
  for (size_t i = 0; i < matrix.rows(); ++i) {
    Json row = Json::array();
    for (size_t j = 0; j < matrix.cols(); ++j) row.push_back(matrix(i, j));
    rows.push_back(std::move(row));
  }
  return rows;
}

Bits bits_of(const Json& object, std::string_view where) {
  Bits bits;
  for (const int64_t b : get_ints(object, "bits", kMinBits, kMaxBits, where)) bits.push_back(static_cast<int>(b));
  return bits;
}

}  // namespace

Budget Budget::parse(std::string_view text) {
  constexpr std::string_view kEvals = "evals";
  Budget budget;
  if (text.ends_with(kEvals))
    budget.evaluations = parse_int(text.substr(0, text.size() - kEvals.size()), 1, 1'000'000, "budget");
  else if (!text.empty() && text.find_first_not_of("0123456789") != std::string_view::npos)
    budget.seconds = parse_duration(text, "budget");
  else
    input_error("budget", "wanted a number with a unit, such as 65evals or 30min, got {}", quote(text));
  return budget;
}

std::string Budget::text() const {
  return evaluations > 0 ? fmt::format("{} evaluations", evaluations) : fmt::format("{:.0f} s of evaluations", seconds);
}

Budget budget_of(const Json& line, std::string_view where) {
  const Json& json = get_object(line, "budget", where);
  Budget budget;
  if (has(json, "evaluations"))
    budget.evaluations = get_int(json, "evaluations", 1, INT64_MAX, where);
  else
    budget.seconds = get_number(json, "seconds", 0.0, kMaxSeconds, where);
  return budget;
}

RunState::RunState(Explorer explorer, std::vector<double> epochs, Budget budget)
    : explorer_(std::move(explorer)), epochs_(std::move(epochs)), budget_(budget) {
  KB_CHECK_EQ(static_cast<int>(epochs_.size()), explorer_.tasks());
  for (size_t task = 0; task < epochs_.size(); ++task)
    if (!std::isfinite(epochs_[task]) || epochs_[task] < 0.0 || (task > 0 && epochs_[task] <= epochs_[task - 1]))
      input_error("tasks", "epochs: wanted a rising list of numbers from 0, got {} at place {}", epochs_[task],
                  task + 1);
  KB_CHECK((budget.evaluations > 0) != (budget.seconds > 0.0));
}

Json RunState::search_settings() const {
  const ExplorerOptions& options = explorer_.options();
  const StrategyOptions& s = options.strategy;
  std::string lists;
  for (const Candidate& candidate : explorer_.candidates()) lists += format_bits(candidate.bits) + "\n";
  Json tries = Json::array();
  for (const size_t index : explorer_.tries()) tries.push_back(format_bits(explorer_.candidates()[index].bits));
  return {{"epochs", epochs_},
          {"costs", options.costs},
          {"strategy", s.name},
          {"refine", s.refine},
          {"round", s.round},
          {"target_runs", s.target_runs},
          {"goal", {{"by", name_of(s.goal.by)}, {"k", s.goal.k}, {"min_accuracy", s.goal.min_accuracy}}},
          {"seed", s.seed},
          {"model", name_of(s.model.inputs)},
          {"warp", name_of(s.model.warp)},
          {"fit_starts", s.model.starts},
          {"tries", tries},
          {"candidates", explorer_.candidates().size()},
          {"candidates_crc", hex_of(crc32(lists))}};
}

Json RunState::settings_line(const Json& application_settings) const {
  return {{"event", "settings"},
          {"schema", kJournalSchema},
          {"budget", json_of(budget_)},
          {"search", search_settings()},
          {"settings", application_settings}};
}

Json RunState::budget_line(const Budget& budget) const { return {{"event", "budget"}, {"budget", json_of(budget)}}; }

Json RunState::run_json(const PlannedRun& run, const Candidate& candidate) const {
  return {{"plan", run.index}, {"bits", candidate.bits}, {"w", candidate.w}, {"task", run.task}};
}

Json RunState::plan_line(const Plan& plan) const {
  Json runs = Json::array();
  for (const PlannedRun& run : plan.runs) {
    const size_t listed = explorer_.candidates().size();
    Json json = run_json(
        run, run.candidate < listed ? explorer_.candidates()[run.candidate] : plan.added[run.candidate - listed]);
    json["reason"] = name_of(run.reason);
    json["information"] = run.information;
    json["cost"] = explorer_.options().costs[static_cast<size_t>(run.task)];
    runs.push_back(std::move(json));
  }
  Json line = {{"event", "plan"}, {"round", plan.round}, {"runs", runs}};
  if (plan.fitted)
    line["fit"] = {{"logit_warp", plan.logit_warp},
                   {"objective", plan.fit.objective},
                   {"evaluations", plan.fit.evaluations},
                   {"nlopt", plan.fit.nlopt_result},
                   {"jitter", plan.fit.jitter},
                   {"lengthscales", plan.hyperparameters.lengthscales},
                   {"kernel_weights", plan.hyperparameters.weights},
                   {"noise", plan.hyperparameters.noise},
                   {"task_covariance", rows_of(plan.hyperparameters.task_covariance)}};
  return line;
}

Json RunState::evaluation_line(const Result& result) const {
  KB_CHECK(!unusable(result));
  const PlannedRun& run = *explorer_.first_waiting();
  Json line = {{"event", "evaluation"}};
  line.update(run_json(run, explorer_.candidates()[run.candidate]));
  line["epochs"] = epochs_[static_cast<size_t>(run.task)];
  line["accuracy"] = result.accuracies.back();
  line["accuracies"] = result.accuracies;
  line["bytes"] = explorer_.candidates()[run.candidate].cost.bytes;
  line["attempt"] = failed_attempts_ + 1;
  line["seconds"] = result.seconds;
  line["worker"] = result.worker;
  if (!result.details.is_null()) line["details"] = result.details;
  return line;
}

Json RunState::failed_line(const Result& result) const {
  const std::optional<std::string> reason = unusable(result);
  KB_CHECK(reason.has_value());
  Json line = {{"event", "failed"}};
  const PlannedRun& run = *explorer_.first_waiting();
  line.update(run_json(run, explorer_.candidates()[run.candidate]));
  line["attempt"] = failed_attempts_ + 1;
  line["fault"] = name_of(result.ok ? Fault::Training : result.fault);
  line["reason"] = *reason;
  line["seconds"] = result.seconds;
  line["worker"] = result.worker;
  return line;
}

std::optional<std::string> RunState::unusable(const Result& result) const {
  if (!result.ok) return result.reason.empty() ? "no reason given" : result.reason;
  const size_t wanted = static_cast<size_t>(explorer_.first_waiting()->task) + 1;
  if (result.accuracies.size() != wanted)
    return fmt::format("wanted the accuracies of {} tasks, got {}", wanted, result.accuracies.size());
  for (const double accuracy : result.accuracies)
    if (!(accuracy >= 0.0 && accuracy <= 1.0)) return fmt::format("accuracy: wanted 0..1, got {}", accuracy);
  return std::nullopt;
}

Plan RunState::plan_of(const Json& line, std::string_view where) const {
  Plan plan;
  plan.round = get_int(line, "round", 0, INT64_MAX, where);
  for (const Json& json : get_array(line, "runs", where)) {
    PlannedRun run;
    run.index = get_int(json, "plan", 0, INT64_MAX, where);
    const Bits bits = bits_of(json, where);
    run.candidate = find_candidate(explorer_.candidates(), bits);
    if (run.candidate == explorer_.candidates().size()) {
      if (!explorer_.options().strategy.make_candidate)
        input_error(where, "bits: wanted a candidate of this search, got {}", format_bits(bits));
      run.candidate += plan.added.size();
      plan.added.push_back(explorer_.options().strategy.make_candidate(bits));
    }
    run.task = static_cast<int>(get_int(json, "task", 0, explorer_.tasks() - 1, where));
    run.reason = parse_reason(get_string(json, "reason", where), where);
    run.information = get_number(json, "information", -1e9, 1e9, where);
    plan.runs.push_back(run);
  }
  return plan;
}

const PlannedRun& RunState::expected_run(const Json& line, std::string_view where) const {
  const PlannedRun* run = explorer_.first_waiting();
  if (run == nullptr) input_error(where, "wanted a plan, got a result that was not planned");
  const int64_t index = get_int(line, "plan", 0, INT64_MAX, where);
  if (index != run->index) input_error(where, "plan: wanted {}, got {}", run->index, index);
  const Bits bits = bits_of(line, where);
  const Bits& planned = explorer_.candidates()[run->candidate].bits;
  if (bits != planned) input_error(where, "bits: wanted {}, got {}", format_bits(planned), format_bits(bits));
  const int64_t task = get_int(line, "task", 0, INT64_MAX, where);
  if (task != run->task) input_error(where, "task: wanted {}, got {}", run->task, task);
  const int64_t attempt = get_int(line, "attempt", 1, kAttempts, where);
  if (attempt != failed_attempts_ + 1) input_error(where, "attempt: wanted {}, got {}", failed_attempts_ + 1, attempt);
  return *run;
}

void RunState::apply_evaluation(const Json& line, std::string_view where) {
  const PlannedRun& run = expected_run(line, where);
  const std::vector<double> accuracies = get_numbers(line, "accuracies", 0.0, 1.0, where);
  if (static_cast<int>(accuracies.size()) != run.task + 1)
    input_error(where, "accuracies: wanted {}, got {}", run.task + 1, accuracies.size());
  const double seconds = get_number(line, "seconds", 0.0, kMaxSeconds, where);
  const size_t candidate = run.candidate;
  std::vector<double> divergences;
  if (has(line, "details") && has(line["details"], "kl")) {
    divergences = get_numbers(line["details"], "kl", 0.0, 1e300, where);
    if (divergences.size() != accuracies.size())
      input_error(where, "kl: wanted {}, got {}", accuracies.size(), divergences.size());
  }
  explorer_.tell(accuracies, divergences);
  update_best(candidate);
  failed_attempts_ = failed_trainings_ = 0;
  ++evaluations_;
  seconds_ += seconds;
}

void RunState::apply_failure(const Json& line, std::string_view where) {
  expected_run(line, where);
  seconds_ += get_number(line, "seconds", 0.0, kMaxSeconds, where);
  ++failed_;
  if (parse_fault(get_string(line, "fault", where), where) == Fault::Training) ++failed_trainings_;
  if (++failed_attempts_ < kAttempts) return;
  explorer_.drop();
  failed_attempts_ = failed_trainings_ = 0;
}

void RunState::apply(const Json& line, std::string_view where) {
  const std::string& event = get_string(line, "event", where);
  if (event == "evaluation") {
    apply_evaluation(line, where);
  } else if (event == "failed") {
    apply_failure(line, where);
  } else if (event == "budget" || event == "settings") {
    budget_ = budget_of(line, where);
  } else if (event == "plan") {
    Plan plan = plan_of(line, where);
    if (!explorer_.round_finished()) input_error(where, "wanted the results of the last plan, got another plan");
    if (!explorer_.is_next(plan))
      input_error(where, "wanted a plan of new runs for round {}, got another for round {}", explorer_.rounds(),
                  plan.round);
    explorer_.begin_round(std::move(plan));
    exhausted_ = false;
  } else if (event == "exhausted") {
    exhausted_ = true;
  }
}

void RunState::apply_all(const std::vector<Json>& lines, std::string_view journal) {
  KB_CHECK(!lines.empty());
  check_same_settings(get_object(lines[0], "search", journal), search_settings(), journal);
  for (size_t n = 0; n < lines.size(); ++n) apply(lines[n], fmt::format("{} line {}", journal, n + 1));
}

bool RunState::budget_spent() const {
  return budget_.evaluations > 0 ? evaluations_ >= budget_.evaluations : seconds_ >= budget_.seconds;
}

double RunState::budget_fraction() const {
  const double fraction = budget_.evaluations > 0
                              ? static_cast<double>(evaluations_) / static_cast<double>(budget_.evaluations)
                              : seconds_ / budget_.seconds;
  return std::min(1.0, fraction);
}

void RunState::update_best(size_t candidate) {
  const Candidate& configuration = explorer_.candidates()[candidate];
  const std::vector<double>& known = explorer_.known(candidate);
  const Best now = {candidate, static_cast<int>(known.size()) - 1, known.back(),
                    score(explorer_.goal(), known.back(), configuration.bits, configuration.cost)};
  if (!best_ || now.task > best_->task || (now.task == best_->task && now.score > best_->score)) best_ = now;
}

}  // namespace kronbit::search
