// The two plainest strategies: configurations at random, and the same bits for every layer.
#pragma once

#include "search/strategy.h"

namespace kronbit::search {

/// Candidates within the limits in a random order, all at the last task; `round` of them at a time.
std::unique_ptr<Strategy> make_random(const StrategyOptions& options);

/// Bit lists with equal bits everywhere (as far as the rules allow) at the last task, from 8 bits down, those within
/// the limits; the largest that fits is the first. Lists that are no candidates are added where that is possible and
/// left out elsewhere. Nothing is left after at most eight runs.
std::unique_ptr<Strategy> make_uniform(const StrategyOptions& options);

}  // namespace kronbit::search
