// Where the time of a packed network goes: every step of its plans timed where it runs, between the steps before and
// after it, with the threads it will have.
#pragma once

#include <vector>

#include "quant/engine/engine.h"

namespace kronbit::quant {

/// Times of one plan.
struct PlanTimes {
  std::vector<LayerChoice> choices;  ///< one per convolution, in order of execution
  /// Per convolution: the product, what is fused to it (normalization, residual, ReLU) and packing for the next ones.
  std::vector<double> microseconds;
  double rest = 0;              ///< everything else: pools, linear layers, start and end of a run
  bool forced_was_used = true;  ///< a forced kernel runs some layer
};

enum class RunMode {
  Single,  ///< one image over all threads
  Groups   ///< Engine::kGroup images per thread, all threads at the same time
};

/// Units:    microseconds per image: medians over the runs of a round, the least of five rounds
/// Throws:   InputError as Engine does, but not for a kernel that no layer accepts
PlanTimes time_plan(const PackedNetwork& network, const EngineOptions& options, RunMode mode, double seconds = 0.25);

}  // namespace kronbit::quant
