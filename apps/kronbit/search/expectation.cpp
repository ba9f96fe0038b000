#include "apps/kronbit/search/expectation.h"

#include <algorithm>
#include <cmath>

namespace kronbit::app {

Expected expect(const RunView& run, const search::Model& model, const search::Goal& goal, const Bits& bits) {
  const std::vector<search::Candidate>& candidates = run.space.candidates;
  const size_t found = search::find_candidate(candidates, bits);
  const search::Candidate configuration = run.space.configuration(bits);
  Expected e{.bits = bits, .w = configuration.w, .cost = configuration.cost};
  const gp::Posterior posterior = model.predict({configuration}, model.tasks() - 1);
  e.accuracy = std::clamp(posterior.mean[0], 0.0, 1.0);
  e.sd = std::sqrt(std::max(0.0, posterior.variance[0]));
  e.effective = search::effective_accuracy(e.accuracy, bits, goal.k);
  e.is_candidate = found < candidates.size();
  if (e.is_candidate) e.measured = search::measured_at_last_task(run.state.explorer())[found];
  return e;
}

Rivals rivals(const RunView& run, const search::Model& model, const search::Goal& goal, size_t candidate) {
  const search::Candidate& c = run.space.candidates[candidate];
  const auto layers = static_cast<int64_t>(run.space.layers.size());
  const auto rival = [&](const Bits& bits) {
    Expected expected = expect(run, model, goal, bits);
    expected.correlation = model.correlation(c, run.space.configuration(bits), model.tasks() - 1);
    return expected;
  };
  return {rival(search::nearest_uniform(layers, c.cost.bytes, run.space.cost_of)),
          rival(search::reversed_of_equal_size(run.space.curve, c, run.space.cost_of))};
}

double sd_of_difference(double sd_a, double sd_b, double correlation) {
  return std::sqrt(std::max(0.0, sd_a * sd_a + sd_b * sd_b - 2 * correlation * sd_a * sd_b));
}

std::string verdict(const Contender& best, const Contender& uniform, Source source, double correlation) {
  const bool expected = source == Source::Model;
  const std::string other = fmt::format("the uniform {}-bit network", uniform.bits[0]);
  if (best.bits == uniform.bits) return "is " + other;

  const double points = 100 * (best.accuracy - uniform.accuracy);
  const auto change = [](double ours, double theirs, const char* less, const char* more, const char* equal) {
    const double percent = 100 * (ours / theirs - 1);
    if (std::abs(percent) < 0.05) return std::string(equal);
    return fmt::format("{:.1f} % {}", std::abs(percent), percent < 0 ? less : more);
  };
  std::string size = "with " + change(best.bytes, uniform.bytes, "fewer bytes", "more bytes", "as many bytes");
  if (best.milliseconds > 0 && uniform.milliseconds > 0)
    size += " and " + change(best.milliseconds, uniform.milliseconds, "less time", "more time", "as much time");
  const std::string lead = expected ? "is expected to " : "";
  if (std::abs(points) < 0.005)
    return fmt::format("{}{} as well as {} {}", lead, expected ? "do" : "does", other, size);

  const std::string verb = points > 0 ? (expected ? "beat" : "beats") : (expected ? "lose to" : "loses to");
  const double doubt = 200 * sd_of_difference(best.sd, uniform.sd, correlation);
  return fmt::format("{}{} {} by {:.2f} points {}{}", lead, verb, other, std::abs(points), size,
                     std::abs(points) < doubt ? fmt::format(", which is within the doubt of the {} (+- {:.2f})",
                                                            expected ? "model" : "test", doubt)
                                              : "");
}

std::string expected_verdict(const Expected& best, const Expected& uniform) {
  const auto side = [](const Expected& e) {
    return Contender{e.bits, e.accuracy, e.sd, e.cost.bytes, e.cost.milliseconds};
  };
  return verdict(side(best), side(uniform), Source::Model, uniform.correlation);
}

double fp32_bytes(const SearchSpace& space) {
  double weights = 0;
  for (const nn::ConvInfo& layer : space.layers) weights += static_cast<double>(layer.weights());
  return 4 * weights;
}

std::string megabytes(double bytes) { return fmt::format("{:.{}f} MB", bytes / 1e6, bytes < 1e6 ? 4 : 2); }

std::string milliseconds(double time) { return fmt::format("{:.4g} ms", time); }

}  // namespace kronbit::app
