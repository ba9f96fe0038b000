// Where the time of a packed network goes: every step of its plans timed where it runs, between the steps before and
// after it, with the threads it will have.
#pragma once

#include <memory>
#include <vector>

#include "quant/engine/engine.h"

namespace kronbit::quant {

/// Times of one plan.
struct PlanTimes {
  std::vector<LayerChoice> choices;  ///< one per convolution, in the order of a bit list
  /// Per convolution: the product, what is fused to it (normalization, residual, ReLU) and packing for the next ones.
  std::vector<double> microseconds;
  double rest = 0;  ///< everything else: pools, linear layers, start and end of a run
};

enum class RunMode {
  Single,  ///< one image over all threads
  Groups   ///< Engine::kGroup images per thread, all threads at the same time
};

/// Times a plan in rounds. What else the machine does comes and goes: rounds of several plans are best taken in turn.
class PlanTimer {
 public:
  /// Throws: InputError as Engine does, but not for a forced kernel that no layer runs
  PlanTimer(const PackedNetwork& network, const EngineOptions& options, RunMode mode);
  ~PlanTimer();
  PlanTimer(PlanTimer&&) noexcept;
  PlanTimer& operator=(PlanTimer&&) noexcept;

  /// Runs the plan for about so long, three times at least.
  void round(double seconds);
  /// Per step the least of the rounds' lower quartiles. Requires: one round or more
  PlanTimes times() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace kronbit::quant
