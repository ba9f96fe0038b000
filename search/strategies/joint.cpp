#include "search/strategies/joint.h"

#include <algorithm>

#include "search/strategies/joint_strategy.h"

namespace kronbit::search {
namespace {

constexpr size_t kMostExploring = 20;  // runs of an episode

class MiGreedy final : public JointStrategy {
 public:
  using JointStrategy::JointStrategy;

 private:
  void fill(const History& history, Batch& batch) const override {
    const auto before = std::find_if(history.told.rbegin(), history.told.rend(),
                                     [](const Told& told) { return told.run.reason != Reason::Refine; });
    if (before == history.told.rend() || before->run.reason != Reason::Information) explore(history, batch);
    if (batch.runs().empty()) take(batch, batch.most_improving());
  }

  static void explore(const History& history, Batch& batch) {
    double information = 0.0, cost = 0.0, first_ratio = 0.0;
    while (batch.runs().size() < kMostExploring) {
      const std::optional<PlannedRun> next = batch.most_informative();
      if (!next || next->task == history.last()) return;
      information += next->information;
      cost += history.costs[static_cast<size_t>(next->task)];
      if (batch.runs().empty()) first_ratio = information / cost;
      if (cost > history.costs.back() || information / cost < 0.5 * first_ratio) return;
      batch.take(*next);
    }
  }
};

class Ehvi final : public JointStrategy {
 public:
  using JointStrategy::JointStrategy;

 private:
  void fill(const History& history, Batch& batch) const override {
    FrontPoint reference{0.0, options_.goal.min_accuracy};
    std::vector<FrontPoint> points;
    for (size_t c = 0; c < history.candidates.size(); ++c) {
      const Cost& cost = history.candidates[c].cost;
      if (!options_.goal.limits.allow(cost)) continue;
      reference.bytes = std::max(reference.bytes, cost.bytes);
      if (history.depth(c) == history.tasks()) points.push_back({cost.bytes, batch.at_last().mean[c]});
    }
    reference.bytes *= 1.01;  // so that the largest candidate can be on the front
    std::vector<FrontPoint> front = front_of(points, reference);
    const auto value = [&](size_t c, double mean, double sd) {
      return log_hypervolume_improvement(mean, sd, history.candidates[c].cost.bytes, front, reference);
    };
    while (!full(batch)) {
      if (std::ssize(batch.runs()) >= (options_.round + 1) / 2) {
        if (!take(batch, batch.most_informative())) return;
        continue;
      }
      if (!take(batch, batch.best_at_last(value, Reason::Target))) return;
      const size_t c = batch.runs().back().candidate;
      points.push_back({history.candidates[c].cost.bytes, batch.at_last().mean[c]});
      front = front_of(points, reference);
    }
  }
};

}  // namespace

std::unique_ptr<Strategy> make_mi_greedy(const StrategyOptions& options) { return std::make_unique<MiGreedy>(options); }
std::unique_ptr<Strategy> make_ehvi(const StrategyOptions& options) { return std::make_unique<Ehvi>(options); }

}  // namespace kronbit::search
