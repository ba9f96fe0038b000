#include "apps/kronbit/outlook.h"

#include <algorithm>
#include <cmath>

namespace kronbit::app {

Expected expect(const RunView& run, const gp::MultiTaskGp& model, const search::Goal& goal, const Bits& bits) {
  const std::vector<search::Candidate>& candidates = run.space.candidates;
  const size_t found = search::find_candidate(candidates, bits);
  Expected e{.bits = bits, .w = {}, .cost = run.space.cost_of(bits)};
  e.w = found < candidates.size() ? candidates[found].w : run.space.curve.fit(bits);
  const gp::Posterior posterior = model.predict({e.w}, model.tasks() - 1);
  e.accuracy = std::clamp(posterior.mean[0], 0.0, 1.0);
  e.sd = std::sqrt(std::max(0.0, posterior.variance[0]));
  e.effective = search::effective_accuracy(e.accuracy, bits, goal.k);
  if (found < candidates.size()) e.measured = search::measured_at_last_task(run.state.explorer())[found];
  return e;
}

Rivals rivals(const RunView& run, const gp::MultiTaskGp& model, const search::Goal& goal, size_t candidate) {
  const search::Candidate& c = run.space.candidates[candidate];
  const auto layers = static_cast<int64_t>(run.space.layers.size());
  return {expect(run, model, goal, search::nearest_uniform(layers, c.cost.bytes, run.space.cost_of)),
          expect(run, model, goal, search::reversed_of_equal_size(run.space.curve, c, run.space.cost_of))};
}

std::string expected_verdict(const Expected& best, const Expected& uniform) {
  if (best.bits == uniform.bits) return fmt::format("the best is the uniform {}-bit network", uniform.bits[0]);
  const double points = 100 * (best.accuracy - uniform.accuracy);
  // The two errors are not independent; their sum of squares is the cautious reading.
  const double doubt = 200 * std::hypot(best.sd, uniform.sd);
  return fmt::format("expected to {} the uniform {}-bit network by {:.2f} points at {:+.1f} % of its bytes{}",
                     points >= 0 ? "beat" : "lose to", uniform.bits[0], std::abs(points),
                     100 * (best.cost.bytes / uniform.cost.bytes - 1),
                     std::abs(points) < doubt ? fmt::format(" (within the model's doubt of +- {:.2f})", doubt) : "");
}

double fp32_bytes(const SearchSpace& space) {
  double weights = 0;
  for (const nn::ConvInfo& layer : space.layers) weights += static_cast<double>(layer.weights());
  return 4 * weights;
}

std::string megabytes(double bytes) { return fmt::format("{:.{}f} MB", bytes / 1e6, bytes < 1e6 ? 4 : 2); }

}  // namespace kronbit::app
