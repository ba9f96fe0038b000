// Successive halving: many candidates at the cheapest task, the best of them at the next, and so on.
#pragma once

#include "search/strategy.h"

namespace kronbit::search {

/// Part of a factor: of how many runs one goes on to the next task.
/// Formula:  3, or 4 where the tasks cost at least 3.5 times as much as the one before in geometric mean
int halving_factor(const std::vector<double>& costs);

/// How many candidates a bracket runs at its tasks m - 1 - s .. m - 1.
/// Formula:  n_0 = floor(m / (s + 1)) eta^s, n_i = floor(n_0 / eta^i), i = 0..s
/// Source:   Li et al. 2018, Hyperband; the rounding is HpBandSter's
std::vector<int> halving_bracket(int tasks, int s, int eta);

/// Brackets of m - 1 halvings, one after the other. A bracket draws candidates that were never run; every task of it is
/// a round; the best by score(goal, accuracy of that task) go on (ties: lowest index). A candidate that fails leaves
/// the bracket without a substitute. When no candidate is left that was never run, the others go to the last task,
/// deepest and best first.
std::unique_ptr<Strategy> make_halving(const StrategyOptions& options);

/// The same with brackets of s = m - 1, m - 2, .. 0 halvings in turn.
std::unique_ptr<Strategy> make_hyperband(const StrategyOptions& options);

}  // namespace kronbit::search
