// Leaves the curve: beside what another strategy plans, single layers of the best configurations step up or down.
#pragma once

#include "search/strategy.h"

namespace kronbit::search {

/// Runs that have to be told before the first step: until then a neighbour cannot be told from noise.
inline constexpr size_t kRefineAfter = 12;

/// The plans of `curve` until kRefineAfter runs are told; then the last run of every round gives way to one at the last
/// task of the neighbour with the largest expected improvement of score(goal, .) over the best posterior mean at what
/// was run there; no run gives way where no neighbour can improve on it. Neighbours: the three best configurations
/// measured at the last task that keep to the rules, with one layer (or tie) at the next more or fewer bits allowed, or
/// one up and another down; within the limits of the goal, not run before, listed or not. The model for them sees bits,
/// and sensitivities where they are known: a curve cannot tell a configuration from its neighbours.
/// Requires: options.make_candidate and options.rules
std::unique_ptr<Strategy> make_refine(std::unique_ptr<Strategy> curve, const StrategyOptions& options);

/// Configurations one step away from `bits`: one group of layers up or down among what is allowed, or one up and
/// another down. Fixed layers stay. Each once, in a fixed order; none from bits that do not keep to the rules in the
/// layers that stay.
std::vector<Bits> neighbours(const Bits& bits, const LayerRules& rules);

}  // namespace kronbit::search
