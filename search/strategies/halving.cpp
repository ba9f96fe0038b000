#include "search/strategies/halving.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "search/strategies/support.h"
#include "tensor/base/error.h"
#include "tensor/rng.h"

namespace kronbit::search {
namespace {

/// The search once more from its beginning: decisions are made from what was known at their time.
class Rerun {
 public:
  Rerun(const History& history, const Goal& goal)
      : history_(history), goal_(goal), depth_(history.candidates.size(), 0), dropped_(history.candidates.size()) {
    while (at_ < history.told.size() && history.told[at_].run.reason == Reason::Try) take();
  }

  bool open(size_t c, int task) const {
    return !dropped_[c] && depth_[c] <= task && goal_.limits.allow(history_.candidates[c].cost) &&
           !(history_.rounds == 0 && history_.is_try(c));
  }
  int depth(size_t c) const { return depth_[c]; }
  bool dropped(size_t c) const { return dropped_[c]; }
  double score_at(size_t c, int task) const {
    const Candidate& candidate = history_.candidates[c];
    return score(goal_, history_.known[c][static_cast<size_t>(task)], candidate.bits, candidate.cost);
  }
  /// Takes runs that have ended; true when all have. Those that have not stay in `runs`.
  bool passed(std::vector<PlannedRun>& runs) {
    size_t done = 0;
    for (; done < runs.size() && at_ < history_.told.size(); ++done) {
      KB_CHECK_EQ(history_.told[at_].run.candidate, runs[done].candidate);
      take();
    }
    runs.erase(runs.begin(), runs.begin() + static_cast<std::ptrdiff_t>(done));
    return runs.empty();
  }

 private:
  void take() {
    const Told& told = history_.told[at_++];
    if (told.ok) depth_[told.run.candidate] = std::max(depth_[told.run.candidate], told.run.task + 1);
    if (!told.ok) dropped_[told.run.candidate] = true;
  }

  const History& history_;
  const Goal& goal_;
  std::vector<int> depth_;
  std::vector<bool> dropped_;
  size_t at_ = 0;
};

class Halving final : public Strategy {
 public:
  Halving(StrategyOptions options, bool in_turn) : options_(std::move(options)), in_turn_(in_turn) {}

  Plan plan(const History& history) const override {
    Plan plan;
    Rerun rerun(history, options_.goal);
    const int tasks = history.tasks(), eta = halving_factor(history.costs);
    for (uint64_t bracket = 0;; ++bracket) {
      const int s = in_turn_ ? tasks - 1 - static_cast<int>(bracket % static_cast<uint64_t>(tasks)) : tasks - 1;
      const std::vector<int> sizes = halving_bracket(tasks, s, eta);
      std::vector<size_t> racing = draw(history, rerun, bracket, sizes[0]);
      if (racing.empty()) break;
      for (size_t rung = 0; rung < sizes.size(); ++rung) {
        const int task = tasks - 1 - s + static_cast<int>(rung);
        if (rung > 0) keep_best(racing, rerun, task - 1, sizes[rung]);
        for (const size_t c : racing) plan.runs.push_back({0, c, task, Reason::Strategy, 0.0});
        if (!rerun.passed(plan.runs)) return plan;
      }
    }
    plan.runs = leftovers(history, rerun);
    return plan;
  }

 private:
  std::vector<size_t> draw(const History& history, const Rerun& rerun, uint64_t bracket, int count) const {
    std::vector<size_t> fresh;
    for (const int64_t c : Rng(options_.seed, Purpose::Search, {3, bracket})
                               .permutation(static_cast<int64_t>(history.candidates.size()))) {
      const size_t candidate = static_cast<size_t>(c);
      if (std::ssize(fresh) < count && rerun.depth(candidate) == 0 && rerun.open(candidate, 0))
        fresh.push_back(candidate);
    }
    return fresh;
  }

  static void keep_best(std::vector<size_t>& racing, const Rerun& rerun, int task, int count) {
    std::erase_if(racing, [&](size_t c) { return rerun.dropped(c); });
    std::sort(racing.begin(), racing.end(), [&](size_t a, size_t b) {
      const double at_a = rerun.score_at(a, task), at_b = rerun.score_at(b, task);
      return at_a != at_b ? at_a > at_b : a < b;
    });
    if (std::ssize(racing) > count) racing.resize(static_cast<size_t>(count));
  }

  std::vector<PlannedRun> leftovers(const History& history, const Rerun& rerun) const {
    std::vector<std::tuple<int, double, size_t>> order;  // smallest first
    for (const size_t c : open_candidates(history, options_.goal, history.last()))
      order.push_back({-history.depth(c), -rerun.score_at(c, history.depth(c) - 1), c});
    std::sort(order.begin(), order.end());
    std::vector<PlannedRun> runs;
    for (size_t i = 0; i < order.size() && std::ssize(runs) < options_.round; ++i)
      runs.push_back({0, std::get<2>(order[i]), history.last(), Reason::Strategy, 0.0});
    return runs;
  }

  StrategyOptions options_;
  bool in_turn_;
};

}  // namespace

int halving_factor(const std::vector<double>& costs) {
  if (costs.size() < 2) return 3;
  return std::pow(costs.back() / costs.front(), 1.0 / static_cast<double>(costs.size() - 1)) < 3.5 ? 3 : 4;
}

std::vector<int> halving_bracket(int tasks, int s, int eta) {
  std::vector<int> sizes = {tasks / (s + 1)};
  for (int i = 0; i < s; ++i) sizes[0] *= eta;
  for (int i = 0; i < s; ++i) sizes.push_back(sizes.back() / eta);
  return sizes;
}

std::unique_ptr<Strategy> make_halving(const StrategyOptions& options) {
  return std::make_unique<Halving>(options, false);
}
std::unique_ptr<Strategy> make_hyperband(const StrategyOptions& options) {
  return std::make_unique<Halving>(options, true);
}

}  // namespace kronbit::search
