// Runs that tell most about how good the best is, not about the whole function.
#pragma once

#include "search/strategies/joint_strategy.h"

namespace kronbit::search {

/// Rounds by information about the highest score per cost, over the 64 candidates of largest expected improvement and
/// all tasks, for 16 quantiles of the highest score as if scores were independent; one run per round at the last task
/// by expected improvement. Of goals that are no accuracies (size, bops, latency) the information is that of
/// "information" over these 64.
/// Source:   Moss et al. 2021 (GIBBON); Takeno et al. 2020 for several fidelities
class MaxValue : public JointStrategy {
 public:
  using JointStrategy::JointStrategy;

 protected:
  void fill(const History& history, Batch& batch) const override;

 private:
  std::optional<PlannedRun> telling(const History& history, const Batch& batch,
                                    const std::vector<size_t>& promising) const;
};
std::unique_ptr<Strategy> make_max_value(const StrategyOptions& options);

}  // namespace kronbit::search
