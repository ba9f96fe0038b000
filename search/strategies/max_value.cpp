#include "search/strategies/max_value.h"

#include <algorithm>
#include <limits>

namespace kronbit::search {
namespace {

constexpr size_t kPromising = 64;
constexpr int kQuantiles = 16;

/// The posterior covariance of all tasks at single candidates, in the model's own units.
class TaskBlocks {
 public:
  explicit TaskBlocks(const Model& model)
      : model_(model),
        covariance_(model.gp().hyperparameters().covariance()),
        cholesky_(gp::observation_covariance(model.gp().observations(), model.gp().hyperparameters())) {}

  /// The shares of the variance of the last task that runs to first, first + 1, .. explain.
  std::vector<double> explained(const Candidate& candidate, int first) const {
    const gp::Matrix v = block(candidate);
    const size_t m = v.rows(), from = static_cast<size_t>(first);
    const std::vector<double>& noise = model_.gp().hyperparameters().noise;
    std::vector<double> shares;
    for (size_t end = from + 1; end <= m; ++end) {
      gp::Matrix observed(end - from, end - from);
      std::vector<double> with_last;
      for (size_t a = from; a < end; ++a) {
        for (size_t b = from; b < end; ++b) observed(a - from, b - from) = v(a, b) + (a == b ? noise[a] : 0.0);
        with_last.push_back(v(a, m - 1));
      }
      const std::vector<double> half = gp::Cholesky(observed).solve_lower(with_last);
      const double share = v(m - 1, m - 1) > 0.0 ? gp::dot(half, half) / v(m - 1, m - 1) : 0.0;
      shares.push_back(std::clamp(share, 0.0, 1.0 - 1e-9));
    }
    return shares;
  }

 private:
  gp::Matrix block(const Candidate& candidate) const {
    const std::vector<gp::Observation>& observations = model_.gp().observations();
    const gp::Matrix& tasks = model_.gp().hyperparameters().task_covariance;
    const std::vector<double> x = model_.places()(candidate);
    gp::Matrix cross(observations.size(), tasks.rows());
    for (size_t i = 0; i < observations.size(); ++i) {
      const double k = covariance_(observations[i].x, x);
      for (size_t l = 0; l < tasks.rows(); ++l) cross(i, l) = tasks(static_cast<size_t>(observations[i].task), l) * k;
    }
    const gp::Matrix half = cholesky_.solve_lower(std::move(cross));
    const gp::Matrix told = gp::multiply(gp::transpose(half), half);
    gp::Matrix v(tasks.rows(), tasks.rows());
    for (size_t a = 0; a < v.rows(); ++a)
      for (size_t b = 0; b < v.rows(); ++b) v(a, b) = tasks(a, b) * covariance_.variance(x) - told(a, b);
    return v;
  }

  const Model& model_;
  gp::Covariance covariance_;
  gp::Cholesky cholesky_;
};

}  // namespace

void MaxValue::fill(const History& history, Batch& batch) const {
  take(batch, batch.most_improving());
  const By by = options_.goal.by;
  while (!full(batch)) {
    const std::vector<size_t> promising = batch.most_promising(kPromising);
    const bool accuracy = by == By::Effective || by == By::Accuracy;
    if (!take(batch, accuracy ? telling(history, batch, promising) : batch.most_informative(&promising))) return;
  }
}

std::optional<PlannedRun> MaxValue::telling(const History& history, const Batch& batch,
                                            const std::vector<size_t>& promising) const {
  if (promising.empty()) return std::nullopt;
  std::vector<double> mean, sd;
  const auto add = [&](size_t c) {
    const Candidate& candidate = history.candidates[c];
    const double offset =
        options_.goal.by == By::Effective ? effective_accuracy(0.0, candidate.bits, options_.goal.k) : 0.0;
    mean.push_back(batch.at_last().mean[c] + offset);
    sd.push_back(std::max(batch.sd(c), 1e-9));
  };
  for (const size_t c : promising) add(c);
  for (const PlannedRun& run : batch.runs()) add(run.candidate);  // they may be the highest too
  std::vector<double> highest = quantiles_of_highest(mean, sd, kQuantiles);
  if (batch.incumbent())
    for (double& value : highest) value = std::max(value, *batch.incumbent());
  const TaskBlocks blocks(batch.model());
  std::optional<PlannedRun> pick;
  double best = -std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < promising.size(); ++i) {
    const int first = history.depth(promising[i]);
    const std::vector<double> shares = blocks.explained(history.candidates[promising[i]], first);
    for (size_t s = 0; s < shares.size(); ++s) {
      const int task = first + static_cast<int>(s);
      const double information = max_value_information(mean[i], sd[i], shares[s], highest);
      const double value = information / history.costs[static_cast<size_t>(task)];
      if (value > best) best = value, pick = PlannedRun{0, promising[i], task, Reason::Information, information};
    }
  }
  return pick;
}

std::unique_ptr<Strategy> make_max_value(const StrategyOptions& options) { return std::make_unique<MaxValue>(options); }

}  // namespace kronbit::search
