// Strategies on the joint model of all tasks that alternate between learning and cashing in.
#pragma once

#include "search/strategy.h"

namespace kronbit::search {

/// Episodes: runs that tell most about the last task per cost until that stops paying, then one run there.
///   Exploration: argmax I / lambda as in "information"; it stops when the argmax is the last task, after 20 runs, when
///   the runs of the episode would cost more than one at the last task, or when their information per cost is below
///   half of that of the first one. They are one round; the run that follows is another, with a model that has seen
///   them: the largest expected improvement of score(goal, .).
/// Source:   Song, Chen, Yue 2019, MF-MI-Greedy; expected improvement in place of their GP-UCB
std::unique_ptr<Strategy> make_mi_greedy(const StrategyOptions& options);

/// Rounds of which the first half (rounded up) goes to the last task by expected hypervolume improvement of the front
/// of accuracy and size within the limits, the rest by information per cost. The reference is 1.01 times the largest
/// size within the limits, and the floor of the goal.
std::unique_ptr<Strategy> make_ehvi(const StrategyOptions& options);

}  // namespace kronbit::search
