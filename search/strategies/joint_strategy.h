// The frame of strategies on the joint model: a design, then rounds on a refitted model.
#pragma once

#include "search/strategies/support.h"

namespace kronbit::search {

class JointStrategy : public Strategy {
 public:
  explicit JointStrategy(StrategyOptions options) : options_(std::move(options)) {}
  /// The design first; nothing when no candidate is open at the last task; the next candidates at task 0 while every
  /// run so far has failed; else what fill() takes.
  Plan plan(const History& history) const override;

 protected:
  virtual std::vector<PlannedRun> design(const History& history) const;
  virtual void fill(const History& history, Batch& batch) const = 0;
  /// Takes the run; false when there is none.
  static bool take(Batch& batch, const std::optional<PlannedRun>& run);
  bool full(const Batch& batch) const { return std::ssize(batch.runs()) >= options_.round; }

  StrategyOptions options_;
};

}  // namespace kronbit::search
