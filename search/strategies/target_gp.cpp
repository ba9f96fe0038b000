#include "search/strategies/target_gp.h"

#include <cmath>

#include "search/strategies/support.h"

namespace kronbit::search {
namespace {

class TargetGp final : public Strategy {
 public:
  TargetGp(StrategyOptions options, bool confidence_bound)
      : options_(std::move(options)), confidence_bound_(confidence_bound) {}

  Plan plan(const History& history) const override {
    Plan plan;
    const History view = last_task_only(history);
    if (history.rounds == 0) {
      plan.runs = space_filling_design(history, options_, true);
    } else if (open_candidates(history, options_.goal, history.last()).empty()) {
      return plan;
    } else if (!view.anything_known()) {
      plan.runs = next_in_order(history, options_.goal, history.last(), options_.round);
    } else {
      Batch batch(view, options_.goal, fit_for(plan, view, options_));
      while (std::ssize(batch.runs()) < options_.round) {
        const std::optional<PlannedRun> pick = confidence_bound_ ? most_hopeful(view, batch) : batch.most_improving();
        if (!pick) break;
        batch.take(*pick);
      }
      plan.runs = batch.runs();
      for (PlannedRun& run : plan.runs) run.task = history.last();
    }
    return plan;
  }

 private:
  std::optional<PlannedRun> most_hopeful(const History& view, const Batch& batch) const {
    const double d = static_cast<double>(batch.model().gp().observations()[0].x.size());
    const double t = static_cast<double>(batch.model().gp().observations().size() + 1);
    const double width = std::sqrt(0.2 * d * std::log(2.0 * d * t));
    const std::vector<double> bound = batch.quantiles(width);
    return batch.best_at_last(
        [&](size_t c, double, double) {
          return score(options_.goal, bound[c], view.candidates[c].bits, view.candidates[c].cost);
        },
        Reason::Target);
  }

  StrategyOptions options_;
  bool confidence_bound_;
};

}  // namespace

std::unique_ptr<Strategy> make_gp_ei(const StrategyOptions& options) {
  return std::make_unique<TargetGp>(options, false);
}
std::unique_ptr<Strategy> make_gp_ucb(const StrategyOptions& options) {
  return std::make_unique<TargetGp>(options, true);
}

}  // namespace kronbit::search
