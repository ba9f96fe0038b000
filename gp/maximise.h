// The optimiser behind the fit: NLopt's L-BFGS within bounds, made harmless. Whatever way a climb ends (a failed line
// search, rounding, an objective that breaks down), what counts is the best point it saw.
#pragma once

#include <functional>
#include <limits>
#include <vector>

namespace kronbit::gp {

struct ObjectiveValue {
  double value;
  std::vector<double> gradient;
};

struct Maximum {
  double value = -std::numeric_limits<double>::infinity();  ///< stays so when not even the start could be evaluated
  std::vector<double> parameters;
  int evaluations = 0;
  int nlopt_result = 0;  ///< NLopt's code: > 0 success, < 0 stopped early
};

/// Climbs from `start`. An objective that throws NumericalError or is not finite ends the climb; it is no error.
/// Requires: lower <= start <= upper, max_evaluations >= 1
/// Source:   Nocedal 1980; NLopt LD_LBFGS
Maximum maximise(const std::function<ObjectiveValue(const std::vector<double>&)>& objective, std::vector<double> start,
                 const std::vector<double>& lower, const std::vector<double>& upper, int max_evaluations);

}  // namespace kronbit::gp
