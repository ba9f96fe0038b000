// Evolution of bit lists at the last task. Children may be any bit lists that keep to the rules: up to 100 are drawn
// until one is within the limits and was not run. Where none is, or no candidate can be made outside the list, the
// nearest candidate that may be run takes its place (smallest sum of absolute differences of bits; ties: lowest index).
#pragma once

#include "search/strategy.h"

namespace kronbit::search {

/// The usual 20 and more would be all that a search can pay: what is learnt has to be used within 15 to 40 runs.
inline constexpr int kPopulation = 10;

/// The first kPopulation runs (tries included) are random candidates, then `round` children are made at a time.
/// Parents: binary tournaments by (rank, crowding) on (1 - accuracy, bytes); uniform crossover with probability 0.9,
/// each layer (or tied group) mutated with probability 1/n: the next more or fewer bits allowed, or bits drawn anew
/// among those allowed. Parents and children compete: rank by rank, the last one cut by crowding.
/// Source:   Deb et al. 2002, NSGA-II; `round` in place of kPopulation children at a time
std::unique_ptr<Strategy> make_nsga2(const StrategyOptions& options);

/// The same beginning; a child is the best by score(goal, accuracy) of 5 drawn from the kPopulation last runs, with one
/// layer (or tied group) mutated.
/// Source:   Real et al. 2019
std::unique_ptr<Strategy> make_evolution(const StrategyOptions& options);

}  // namespace kronbit::search
