#include "search/strategies/support.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "tensor/base/error.h"

namespace kronbit::search {

bool is_open(const History& history, const Goal& goal, size_t candidate, int task) {
  return history.may_run(candidate, task) && goal.limits.allow(history.candidates[candidate].cost);
}

std::vector<size_t> open_candidates(const History& history, const Goal& goal, int task) {
  std::vector<size_t> open;
  for (size_t c = 0; c < history.candidates.size(); ++c)
    if (is_open(history, goal, c, task)) open.push_back(c);
  return open;
}

std::vector<PlannedRun> next_in_order(const History& history, const Goal& goal, int task, int count) {
  std::vector<PlannedRun> runs;
  for (size_t c = 0; c < history.candidates.size() && std::ssize(runs) < count; ++c)
    if (is_open(history, goal, c, task)) runs.push_back({0, c, task, Reason::Design, 0.0});
  return runs;
}

History last_task_only(const History& history) {
  History view = history;
  view.costs = {history.costs.back()};
  view.told.clear();
  for (size_t c = 0; c < history.candidates.size(); ++c) {
    view.known[c].clear();
    view.divergences[c].clear();
    if (history.depth(c) < history.tasks()) continue;
    view.known[c] = {history.known[c].back()};
    if (history.divergences[c].size() == history.known[c].size()) view.divergences[c] = {history.divergences[c].back()};
  }
  for (const Told& told : history.told)
    if (!told.ok || told.run.task == history.last()) {
      view.told.push_back(told);
      view.told.back().run.task = 0;
    }
  return view;
}

Model fit_for(Plan& plan, const History& history, const StrategyOptions& options) {
  Model model = fit_model(history, options.model, options.seed, &plan.fit);
  plan.fitted = true;
  plan.logit_warp = model.gp().standardisation().logit_warp;
  plan.hyperparameters = model.gp().hyperparameters();
  return model;
}

Batch::Batch(const History& history, const Goal& goal, Model model)
    : history_(history),
      goal_(goal),
      model_(std::move(model)),
      at_last_(model_.predict(history.candidates, history.last())),
      used_(history.candidates.size(), false) {
  for (size_t c = 0; c < history.candidates.size(); ++c)
    if (history.depth(c) == history.tasks() && goal.limits.allow(history.candidates[c].cost)) raise_incumbent(c);
}

void Batch::raise_incumbent(size_t candidate) {
  const Candidate& c = history_.candidates[candidate];
  const double reached = score(goal_, at_last_.mean[candidate], c.bits, c.cost);
  if (!incumbent_ || reached > *incumbent_) incumbent_ = reached;
}

std::vector<double> Batch::quantiles(double sds) const {
  return model_.gp().quantiles(model_.places()(history_.candidates), history_.last(), sds);
}

bool Batch::is_open_here(size_t candidate, int task) const {
  return !used_[candidate] && is_open(history_, goal_, candidate, task);
}

double Batch::sd(size_t candidate) const { return std::sqrt(std::max(0.0, at_last_.variance[candidate])); }

double Batch::log_improvement(size_t candidate) const {
  return log_goal_improvement(goal_, history_.candidates[candidate], at_last_.mean[candidate], sd(candidate),
                              incumbent_);
}

std::optional<PlannedRun> Batch::best_at_last(const Value& value, Reason reason) const {
  std::optional<PlannedRun> pick;
  std::pair<double, double> best;
  for (size_t c = 0; c < used_.size(); ++c) {
    if (!is_open_here(c, history_.last())) continue;
    const Candidate& candidate = history_.candidates[c];
    const std::pair<double, double> each = {value(c, at_last_.mean[c], sd(c)),
                                            score(goal_, at_last_.mean[c], candidate.bits, candidate.cost)};
    if (!pick || each > best) best = each, pick = PlannedRun{0, c, history_.last(), reason, 0.0};
  }
  return pick;
}

std::optional<PlannedRun> Batch::most_improving() const {
  return best_at_last([this](size_t c, double, double) { return log_improvement(c); }, Reason::Target);
}

std::vector<size_t> Batch::most_promising(size_t count) const {
  std::vector<std::pair<double, size_t>> order;  // smallest first
  for (size_t c = 0; c < used_.size(); ++c)
    if (is_open_here(c, history_.last())) order.push_back({-log_improvement(c), c});
  std::sort(order.begin(), order.end());
  std::vector<size_t> promising;
  for (size_t i = 0; i < std::min(count, order.size()); ++i) promising.push_back(order[i].second);
  return promising;
}

gp::InformationGain& Batch::gain() {
  if (!gain_) gain_.emplace(model_.gp(), model_.places()(history_.candidates));
  return *gain_;
}

std::optional<PlannedRun> Batch::most_informative(const std::vector<size_t>* among) {
  std::optional<PlannedRun> pick;
  double best = -std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < (among != nullptr ? among->size() : used_.size()); ++i) {
    const size_t c = among != nullptr ? (*among)[i] : i;
    const int first = history_.depth(c);
    for (int task = first; task < history_.tasks(); ++task) {
      if (!is_open_here(c, task)) continue;
      const double information = gain().run_information(c, first, task);
      const double value = information / history_.costs[static_cast<size_t>(task)];
      if (value > best) best = value, pick = PlannedRun{0, c, task, Reason::Information, information};
    }
  }
  return pick;
}

void Batch::take(const PlannedRun& run) {
  KB_CHECK(is_open_here(run.candidate, run.task));
  used_[run.candidate] = true;
  runs_.push_back(run);
  const Candidate& candidate = history_.candidates[run.candidate];
  std::vector<gp::Observation> observations = model_.gp().observations();
  for (int task = history_.depth(run.candidate); task <= run.task; ++task) {
    const std::vector<double> place = model_.places()(candidate);
    const double median = model_.gp().quantiles({place}, task, 0.0)[0];
    observations.push_back({place, task, std::clamp(median, 0.0, 1.0)});
    if (gain_) gain_->append(run.candidate, task);
  }
  model_ = Model(model_.places(), gp::MultiTaskGp(std::move(observations), model_.gp().hyperparameters(),
                                                  model_.gp().standardisation()));
  at_last_ = model_.predict(history_.candidates, history_.last());
  if (run.task == history_.last()) raise_incumbent(run.candidate);
}

}  // namespace kronbit::search
