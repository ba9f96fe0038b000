// The default: what is known of single layers before the first run, cheap runs of candidates that may win, and the last
// task where the goal is expected to gain most.
#pragma once

#include "search/strategy.h"

namespace kronbit::search {

/// Design: where every candidate has a log_error, three of the front of (bytes, log_error) at the last task, at equal
/// distances in log_error (goal accuracy: from the least error on, the best guess under a limit; others: the middles of
/// its thirds), and the space-filling design at task 0. Without log_error the space-filling design alone.
/// Each round: `target_runs` (at least one) at the last task by log_goal_improvement(); the others by information about
/// the last task per cost as in "information", but only of the 64 candidates with the largest log_goal_improvement().
/// Every run planned is believed to give what the model expects.
std::unique_ptr<Strategy> make_kronbit(const StrategyOptions& options);

}  // namespace kronbit::search
