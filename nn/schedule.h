// Learning rate schedules: pure functions of the step, so that a resumed run continues the same curve.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kronbit::nn {

/// How the learning rate moves over training.
struct Schedule {
  enum class Kind { Constant, Step, Cosine, OneCycle };
  Kind kind = Kind::Constant;
  std::vector<int64_t> milestones;  ///< Step: epochs at whose start the rate is multiplied by gamma; increasing
  double gamma = 0.1;               ///< Step
  double rise = 0.3;                ///< OneCycle: fraction of the steps spent rising
  double start_divisor = 25;        ///< OneCycle: starts at base / start_divisor
  double end_divisor = 1e4;         ///< OneCycle: ends at start / end_divisor
  double warmup_epochs = 0;         ///< all kinds: linear rise first
};

/// Throws: InputError unless 0 <= gamma, 0 <= rise <= 1, divisors > 0 and 0 <= warmup_epochs, all finite.
void check_schedule(const Schedule& schedule);

/// The rate of step 0 <= step < total_steps, `base` being the highest.
/// Formula:  constant  base
///           step      base gamma^(milestones passed)
///           cosine    base (1 + cos(pi step / total_steps)) / 2
///           onecycle  half-cosine from base / start_divisor at step 0 to base at step rise total_steps - 1, then to
///                     base / (start_divisor end_divisor) at step total_steps - 1; where rise total_steps < 1 the
///                     first step is on the way down already; momentum is not cycled
///           each times min(1, (step + 1) / warm-up steps)
/// Source:   torch.optim.lr_scheduler MultiStepLR, CosineAnnealingLR, OneCycleLR (two phases, anneal "cos"), which
///           gives a run of one step the last rate: here it has `base`
/// Requires: check_schedule(schedule)
double learning_rate(const Schedule& schedule, double base, int64_t step, int64_t total_steps, int64_t steps_per_epoch);

/// Reads "constant", "step:30,45" (milestones in epochs), "cosine" or "onecycle".
/// Throws: InputError for anything else, or milestones that do not increase.
Schedule parse_schedule(std::string_view text);
/// The text back: parse_schedule(format_schedule(s)) has the same kind and milestones.
std::string format_schedule(const Schedule& schedule);

}  // namespace kronbit::nn
