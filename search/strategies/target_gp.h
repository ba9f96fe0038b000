// Bayesian optimisation of a single fidelity: every run at the last task, and the model sees nothing else.
#pragma once

#include "search/strategy.h"

namespace kronbit::search {

/// d + 2 points of the space-filling design, then rounds by expected improvement of score(goal, .) over the best
/// posterior mean at a candidate run (search/acquisition.h), every run planned believed to give its mean.
/// Source:   Jones, Schonlau, Welch 1998
std::unique_ptr<Strategy> make_gp_ei(const StrategyOptions& options);

/// The same by an upper confidence bound.
/// Formula:  score(goal, mean + sqrt(beta_t) sd), beta_t = 0.2 d ln(2 d t), d inputs of the model, t runs so far + 1
/// Source:   Kandasamy et al. 2016 for beta_t
std::unique_ptr<Strategy> make_gp_ucb(const StrategyOptions& options);

}  // namespace kronbit::search
