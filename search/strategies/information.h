// Runs that tell most about the last task per unit of cost; some of each round where the goal may be reached best.
#pragma once

#include "search/strategy.h"

namespace kronbit::search {

/// After the design, each round refits the model to everything told so far and then picks, one after the other, taking
/// what is already picked as observed and leaving out what is outside the limits:
///   target_runs times: the candidate of the highest score(goal, a) at the last task, a the accuracy that it exceeds
///   with probability Phi(-2);
///   then until the round is full: argmax over candidates x and tasks l of I(run to l at x; f_m | y) / lambda_l,
///   exactly over all candidates (ties: lowest index, lowest task).
/// A candidate is run at most once per round, and again only to a higher task than before.
/// Source:   paper §3.2 "Exploration Phase"; target runs after Song, Chen, Yue 2019 (MF-MI-Greedy), here by an upper
///           confidence bound
std::unique_ptr<Strategy> make_information(const StrategyOptions& options);

}  // namespace kronbit::search
