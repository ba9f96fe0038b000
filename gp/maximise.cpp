#include "gp/maximise.h"

#include <algorithm>
#include <cmath>
#include <nlopt.hpp>
#include <stdexcept>

#include "tensor/base/error.h"

namespace kronbit::gp {
namespace {

struct Climb {
  const std::function<ObjectiveValue(const std::vector<double>&)>& objective;
  nlopt::opt optimiser;
  Maximum best{};
  bool broken = false;

  // Nothing may be thrown through NLopt: a breakdown stops it instead. Its line search asks a few times more before it
  // looks at the stop, in vain.
  double evaluate(const std::vector<double>& x, std::vector<double>& gradient) {
    if (!broken) {
      ++best.evaluations;
      try {
        const ObjectiveValue value = objective(x);
        check(value);
        if (!gradient.empty()) gradient = value.gradient;
        if (value.value > best.value) {
          best.value = value.value;
          best.parameters = x;
        }
        return value.value;
      } catch (const NumericalError&) {
        broken = true;
        optimiser.force_stop();
      }
    }
    std::fill(gradient.begin(), gradient.end(), 0.0);
    return -std::numeric_limits<double>::max();
  }

  static void check(const ObjectiveValue& value) {
    bool finite = std::isfinite(value.value);
    for (double g : value.gradient) finite = finite && std::isfinite(g);
    if (!finite) throw NumericalError("[gp] the objective of a fit is not finite");
  }
};

double evaluate_climb(const std::vector<double>& x, std::vector<double>& gradient, void* climb) {
  return static_cast<Climb*>(climb)->evaluate(x, gradient);
}

}  // namespace

Maximum maximise(const std::function<ObjectiveValue(const std::vector<double>&)>& objective, std::vector<double> start,
                 const std::vector<double>& lower, const std::vector<double>& upper, int max_evaluations) {
  KB_CHECK_EQ(start.size(), lower.size());
  KB_CHECK_EQ(start.size(), upper.size());
  Climb climb{objective, nlopt::opt(nlopt::LD_LBFGS, static_cast<unsigned>(start.size()))};
  climb.optimiser.set_max_objective(evaluate_climb, &climb);
  climb.optimiser.set_lower_bounds(lower);
  climb.optimiser.set_upper_bounds(upper);
  climb.optimiser.set_maxeval(max_evaluations);
  climb.optimiser.set_ftol_rel(1e-9);
  climb.optimiser.set_xtol_rel(1e-7);
  double value = 0.0;
  try {
    climb.best.nlopt_result = climb.optimiser.optimize(start, value);
  } catch (const std::runtime_error&) {  // a line search that failed, rounding, a forced stop
    climb.best.nlopt_result = climb.optimiser.last_optimize_result();
  }
  return climb.best;
}

}  // namespace kronbit::gp
