#include "gp/fit.h"

#include <limits>

#include "tensor/base/error.h"
#include "tensor/parallel.h"

namespace kronbit::gp {

MultiTaskGp fit(const std::vector<Observation>& observations, const FitOptions& options, FitReport* report) {
  if (options.starts < 1) input_error("gp", "starts: wanted at least 1, got {}", options.starts);
  if (options.max_evaluations < 1) input_error("gp", "evaluations: wanted at least 1, got {}", options.max_evaluations);
  Standardisation standardisation = standardise(observations, options.tasks, options.logit_warp);
  const FitObjective objective(observations, standardisation, options.kernel);
  FitReport summary;
  summary.objective = -std::numeric_limits<double>::infinity();
  std::vector<double> best;
  std::vector<Maximum> maxima(static_cast<size_t>(options.starts));
  parallel_for(options.starts, 1, [&](int64_t begin, int64_t end) {
    FitObjective::Workspace workspace;
    for (int64_t start = begin; start < end; ++start) {
      maxima[static_cast<size_t>(start)] =
          maximise([&](const std::vector<double>& p) { return objective(p, workspace); },
                   objective.start(static_cast<int>(start), options.seed), objective.lower(), objective.upper(),
                   options.max_evaluations);
    }
  });
  for (int start = 0; start < options.starts; ++start) {
    const Maximum& maximum = maxima[static_cast<size_t>(start)];
    summary.start_objectives.push_back(maximum.value);
    summary.evaluations += maximum.evaluations;
    if (maximum.value > summary.objective) {  // strictly: the first of equals
      summary.objective = maximum.value;
      summary.best_start = start;
      summary.nlopt_result = maximum.nlopt_result;
      best = maximum.parameters;
    }
  }
  if (best.empty()) {
    throw NumericalError(fmt::format(
        "[gp] all {} starts of the fit to {} observations failed: drop repeated observations or rescale the "
        "inputs to 0..1",
        options.starts, observations.size()));
  }
  MultiTaskGp gp(observations, objective.unpack(best), std::move(standardisation));
  summary.jitter = gp.jitter();
  if (report != nullptr) *report = std::move(summary);
  return gp;
}

}  // namespace kronbit::gp
