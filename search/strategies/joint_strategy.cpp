#include "search/strategies/joint_strategy.h"

namespace kronbit::search {

Plan JointStrategy::plan(const History& history) const {
  Plan plan;
  if (history.rounds == 0) {
    plan.runs = design(history);
  } else if (open_candidates(history, options_.goal, history.last()).empty()) {
    return plan;
  } else if (!history.anything_known()) {
    plan.runs = next_in_order(history, options_.goal, 0, options_.round);
  } else {
    Batch batch(history, options_.goal, fit_for(plan, history, options_));
    fill(history, batch);
    plan.runs = batch.runs();
  }
  return plan;
}

std::vector<PlannedRun> JointStrategy::design(const History& history) const {
  return space_filling_design(history, options_);
}

bool JointStrategy::take(Batch& batch, const std::optional<PlannedRun>& run) {
  if (run) batch.take(*run);
  return run.has_value();
}

}  // namespace kronbit::search
