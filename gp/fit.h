// Hyper-parameters by maximum a posteriori: log marginal likelihood + log priors, analytic gradient, L-BFGS from
// several starts. Read gp/multitask.h first.
#pragma once

#include <cstdint>
#include <vector>

#include "gp/fit_objective.h"
#include "gp/multitask.h"

namespace kronbit::gp {

struct FitOptions {
  int tasks = 1;
  int starts = 4;  ///< the first one fixed, the others drawn
  uint64_t seed = 0;
  int max_evaluations = 150;  ///< of the objective, per start
  bool logit_warp = false;    ///< for accuracies that collapse to chance; judge it by leave-one-out log density
  KernelSpec kernel = {};     ///< a plain Kernel, or a sum of terms over groups of inputs
};

/// How the fit went, for the journal.
struct FitReport {
  std::vector<double> start_objectives;  ///< best objective of every start; −infinity where it failed
  int best_start = 0;
  int evaluations = 0;   ///< of the objective, all starts
  int nlopt_result = 0;  ///< NLopt's code for the best start (> 0 success, < 0 stopped early)
  double objective = 0.0;
  double jitter = 0.0;
};

/// The model at the best hyper-parameters found. Same observations, options and machine: same bits, for any number of
/// threads (the starts run in parallel).
/// Throws: InputError on bad observations; NumericalError when every start failed, saying what to do.
MultiTaskGp fit(const std::vector<Observation>& observations, const FitOptions& options, FitReport* report = nullptr);

}  // namespace kronbit::gp
