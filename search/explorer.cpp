#include "search/explorer.h"

#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "gp/information.h"
#include "tensor/base/error.h"
#include "tensor/io/text.h"
#include "tensor/rng.h"

namespace kronbit::search {
namespace {

constexpr std::array<std::pair<Reason, std::string_view>, 4> kReasons = {{{Reason::Try, "try"},
                                                                          {Reason::Design, "design"},
                                                                          {Reason::Information, "information"},
                                                                          {Reason::Target, "target"}}};

double squared_distance(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0.0;
  for (size_t j = 0; j < a.size(); ++j) sum += (a[j] - b[j]) * (a[j] - b[j]);
  return sum;
}

}  // namespace

std::string_view name_of(Reason reason) { return kReasons[static_cast<size_t>(reason)].second; }

Reason parse_reason(std::string_view text, std::string_view where) {
  for (const auto& [reason, name] : kReasons)
    if (name == text) return reason;
  input_error(where, "reason: wanted try, design, information or target, got {}", quote(text));
}

Explorer::Explorer(std::vector<Candidate> candidates, std::vector<size_t> tries, ExplorerOptions options)
    : candidates_(std::move(candidates)),
      tries_(std::move(tries)),
      options_(std::move(options)),
      known_(candidates_.size()),
      dropped_(candidates_.size(), false) {
  KB_CHECK(!candidates_.empty());
  for (const size_t index : tries_) KB_CHECK(index < candidates_.size());
  if (options_.costs.empty()) input_error("search", "tasks: wanted at least one, got none");
  double last = 0.0;
  for (const double cost : options_.costs) {
    if (!(cost > 0.0) || !std::isfinite(cost) || cost < last)
      input_error("search", "cost of each task: wanted positive and not falling, got {} after {}", cost, last);
    last = cost;
  }
  if (options_.round < 1 || options_.round > 1000)
    input_error("search", "round: wanted 1..1000, got {}", options_.round);
  if (options_.target_runs < 0 || options_.target_runs > options_.round)
    input_error("search", "target runs: wanted 0..{}, got {}", options_.round, options_.target_runs);
}

bool Explorer::may_run(size_t candidate, int task) const {
  return !dropped_[candidate] && static_cast<int>(known_[candidate].size()) <= task;
}

Plan Explorer::plan_round() const {
  KB_CHECK(round_finished());
  Plan plan;
  plan.round = rounds_;
  if (rounds_ == 0) {
    plan.runs = design();
  } else {
    bool left = false;
    for (size_t c = 0; c < candidates_.size() && !left; ++c) left = may_run(c, tasks() - 1);
    if (!left) return plan;
    if (observations_.empty()) {  // every run so far has failed: nothing to fit, the next candidates in order
      for (size_t c = 0; c < candidates_.size() && static_cast<int>(plan.runs.size()) < options_.round; ++c)
        if (may_run(c, 0)) plan.runs.push_back({0, c, 0, Reason::Design, 0.0});
    } else {
      const gp::MultiTaskGp model = fit(&plan.fit);
      plan.fitted = true;
      plan.logit_warp = model.standardisation().logit_warp;
      plan.hyperparameters = model.hyperparameters();
      plan.runs = informed_runs(model);
    }
  }
  for (size_t r = 0; r < plan.runs.size(); ++r) plan.runs[r].index = runs_ + static_cast<int64_t>(r);
  return plan;
}

std::vector<PlannedRun> Explorer::design() const {
  std::vector<PlannedRun> runs;
  std::vector<bool> used(candidates_.size(), false);
  for (const size_t c : tries_) {
    if (!used[c]) runs.push_back({0, c, tasks() - 1, Reason::Try, 0.0});
    used[c] = true;
  }
  std::vector<double> shift;
  Rng rng(options_.seed, Purpose::Search);
  for (size_t j = 0; j < candidates_[0].w.size(); ++j) shift.push_back(rng.uniform());
  const size_t points = 2 * (shift.size() + 1);
  for (size_t p = 0; p < points; ++p) {
    const std::vector<double> point = space_filling_point(p, shift);
    size_t nearest = candidates_.size();
    double smallest = std::numeric_limits<double>::infinity();
    for (size_t c = 0; c < candidates_.size(); ++c) {
      const double distance = squared_distance(candidates_[c].w, point);
      if (!used[c] && distance < smallest) smallest = distance, nearest = c;
    }
    if (nearest == candidates_.size()) break;
    used[nearest] = true;
    runs.push_back({0, nearest, p % 3 == 0 ? tasks() - 1 : 0, Reason::Design, 0.0});
  }
  return runs;
}

std::vector<PlannedRun> Explorer::informed_runs(const gp::MultiTaskGp& model) const {
  std::vector<std::vector<double>> points;
  for (const Candidate& candidate : candidates_) points.push_back(candidate.w);
  gp::InformationGain gain(model, points);
  const int last = tasks() - 1;
  const gp::Posterior hope = model.predict(points, last);
  std::vector<PlannedRun> runs;
  std::vector<bool> used(candidates_.size(), false);
  while (static_cast<int>(runs.size()) < options_.round) {
    const bool target = static_cast<int>(runs.size()) < options_.target_runs;
    PlannedRun pick;
    double best = -std::numeric_limits<double>::infinity();
    for (size_t c = 0; c < candidates_.size(); ++c) {
      if (used[c]) continue;
      const int first = static_cast<int>(known_[c].size());
      for (int task = target ? last : first; task <= last; ++task) {
        if (!may_run(c, task)) continue;
        const double optimistic = hope.mean[c] + 2.0 * std::sqrt(std::max(0.0, hope.variance[c]));
        const double value = target ? score(options_.goal, optimistic, candidates_[c].bits, candidates_[c].cost)
                                    : gain.run_information(c, first, task) / options_.costs[static_cast<size_t>(task)];
        if (value > best) best = value, pick = {0, c, task, target ? Reason::Target : Reason::Information, 0.0};
      }
    }
    if (best == -std::numeric_limits<double>::infinity()) break;
    const int first = static_cast<int>(known_[pick.candidate].size());
    pick.information = gain.run_information(pick.candidate, first, pick.task);
    for (int task = first; task <= pick.task; ++task) gain.append(pick.candidate, task);
    used[pick.candidate] = true;
    runs.push_back(pick);
  }
  return runs;
}

bool Explorer::is_next(const Plan& plan) const {
  int64_t index = runs_;
  for (const PlannedRun& run : plan.runs) {
    if (run.index != index++ || run.candidate >= candidates_.size()) return false;
    if (run.task < 0 || run.task >= tasks() || !may_run(run.candidate, run.task)) return false;
  }
  return round_finished() && plan.round == rounds_ && !plan.runs.empty();
}

void Explorer::begin_round(Plan plan) {
  KB_CHECK(is_next(plan));
  runs_ += static_cast<int64_t>(plan.runs.size());
  plan_ = std::move(plan);
  told_ = 0;
  ++rounds_;
}

std::vector<PlannedRun> Explorer::waiting() const {
  return {plan_.runs.begin() + static_cast<std::ptrdiff_t>(told_), plan_.runs.end()};
}

void Explorer::tell(const std::vector<double>& accuracies) {
  KB_CHECK(!round_finished());
  const PlannedRun& run = plan_.runs[told_++];
  KB_CHECK_EQ(static_cast<int>(accuracies.size()), run.task + 1);
  std::vector<double>& known = known_[run.candidate];
  for (size_t task = known.size(); task < accuracies.size(); ++task) {
    known.push_back(accuracies[task]);
    observations_.push_back({candidates_[run.candidate].w, static_cast<int>(task), accuracies[task]});
  }
}

void Explorer::drop() {
  KB_CHECK(!round_finished());
  dropped_[plan_.runs[told_++].candidate] = true;
}

gp::MultiTaskGp Explorer::fit(gp::FitReport* report) const {
  const auto log_density = [](const gp::MultiTaskGp& model) {
    const std::vector<double> each = model.leave_one_x_out().log_density;
    return std::accumulate(each.begin(), each.end(), 0.0);
  };
  gp::FitOptions options;
  options.tasks = tasks();
  options.starts = options_.fit_starts;
  options.seed = Rng(options_.seed, Purpose::Search, {1, observations_.size()}).next();
  gp::FitReport plain_report, warped_report;
  gp::MultiTaskGp plain = gp::fit(observations_, options, &plain_report);
  options.logit_warp = true;
  gp::MultiTaskGp warped = gp::fit(observations_, options, &warped_report);
  const bool warp = log_density(warped) > log_density(plain);
  if (report != nullptr) *report = warp ? warped_report : plain_report;
  return warp ? warped : plain;
}

}  // namespace kronbit::search
