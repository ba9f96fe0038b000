#include "search/explorer.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "tensor/base/error.h"

namespace kronbit::search {

Explorer::Explorer(std::vector<Candidate> candidates, std::vector<size_t> tries, ExplorerOptions options)
    : options_(std::move(options)), strategy_(make_strategy(options_.strategy)) {
  KB_CHECK(!candidates.empty());
  history_.known.resize(candidates.size());
  history_.divergences.resize(candidates.size());
  history_.dropped.resize(candidates.size(), false);
  history_.candidates = std::move(candidates);
  history_.tries = std::move(tries);
  history_.costs = options_.costs;
  for (const size_t index : history_.tries) KB_CHECK(index < history_.candidates.size());
  if (options_.costs.empty()) input_error("search", "tasks: wanted at least one, got none");
  double last = 0.0;
  for (const double cost : options_.costs) {
    if (!(cost > 0.0) || !std::isfinite(cost) || cost < last)
      input_error("search", "cost of each task: wanted positive and not falling, got {} after {}", cost, last);
    last = cost;
  }
}

Plan Explorer::plan_round() const {
  KB_CHECK(round_finished());
  Plan plan = strategy_->plan(history_);
  if (rounds() == 0) {
    std::vector<PlannedRun> first;
    for (const size_t c : tries())
      if (std::none_of(first.begin(), first.end(), [&](const PlannedRun& run) { return run.candidate == c; }))
        first.push_back({0, c, history_.last(), Reason::Try, 0.0});
    plan.runs.insert(plan.runs.begin(), first.begin(), first.end());
  }
  plan.round = rounds();
  for (size_t r = 0; r < plan.runs.size(); ++r) plan.runs[r].index = history_.runs + static_cast<int64_t>(r);
  return plan;
}

bool Explorer::is_next(const Plan& plan) const {
  int64_t index = history_.runs;
  std::set<size_t> seen;
  const size_t all = candidates().size() + plan.added.size();
  for (const PlannedRun& run : plan.runs) {
    if (run.index != index++ || run.candidate >= all || !seen.insert(run.candidate).second) return false;
    if (run.task < 0 || run.task >= tasks()) return false;
    if (run.candidate >= candidates().size()) continue;
    if (history_.dropped[run.candidate] || history_.depth(run.candidate) > run.task) return false;
  }
  return round_finished() && plan.round == rounds() && !plan.runs.empty();
}

void Explorer::begin_round(Plan plan) {
  KB_CHECK(is_next(plan));
  for (const Candidate& candidate : plan.added) {
    history_.candidates.push_back(candidate);
    history_.known.emplace_back();
    history_.divergences.emplace_back();
    history_.dropped.push_back(false);
  }
  history_.runs += static_cast<int64_t>(plan.runs.size());
  plan_ = std::move(plan);
  told_ = 0;
  ++history_.rounds;
}

std::vector<PlannedRun> Explorer::waiting() const {
  return {plan_.runs.begin() + static_cast<std::ptrdiff_t>(told_), plan_.runs.end()};
}

void Explorer::tell(const std::vector<double>& accuracies, const std::vector<double>& divergences) {
  KB_CHECK(!round_finished());
  const PlannedRun& run = plan_.runs[told_++];
  KB_CHECK_EQ(static_cast<int>(accuracies.size()), run.task + 1);
  KB_CHECK(divergences.empty() || divergences.size() == accuracies.size());
  std::vector<double>&known = history_.known[run.candidate], &apart = history_.divergences[run.candidate];
  // Divergences without a gap: those behind one that was not told would be taken for those of other tasks.
  if (apart.size() == known.size())
    for (size_t task = apart.size(); task < divergences.size(); ++task) apart.push_back(divergences[task]);
  for (size_t task = known.size(); task < accuracies.size(); ++task) known.push_back(accuracies[task]);
  history_.told.push_back({run, true});
}

void Explorer::drop() {
  KB_CHECK(!round_finished());
  const PlannedRun& run = plan_.runs[told_++];
  history_.dropped[run.candidate] = true;
  history_.told.push_back({run, false});
}

Model Explorer::fit(gp::FitReport* report) const {
  return widened(fit_model(history_, options_.strategy.model, seed(), report));
}

}  // namespace kronbit::search
