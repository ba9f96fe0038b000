// The default: starts from what is known of single layers before the first run, and goes on by what tells most about
// how good the best is.
#pragma once

#include "search/strategy.h"

namespace kronbit::search {

/// Design: where every candidate has a log_error, some of the front of (bytes, log_error) at the last task (goal
/// accuracy: the two of least error, the best guesses under a limit; others: the middles of the thirds of the errors),
/// and the space-filling design at task 0. Without log_error the space-filling
/// design alone.
/// Then as "max-value".
std::unique_ptr<Strategy> make_kronbit(const StrategyOptions& options);

}  // namespace kronbit::search
