// A Gaussian process by itself: three fidelities of some function of two parameters, whatever it is.
#include <fmt/format.h>

#include <cmath>

#include "gp/fit.h"

using namespace kronbit;

int main() {
  // Observations: x in [0,1]^d, task, y.
  const std::vector<gp::Observation> seen{
      {{0.1, 0.5}, 0, 0.3}, {{0.1, 0.5}, 2, 0.6}, {{0.8, 0.2}, 0, 0.4}, {{0.8, 0.2}, 2, 0.5}};
  const gp::MultiTaskGp model = gp::fit(seen, {.tasks = 3});
  const gp::Posterior p = model.predict({{0.2, 0.7}}, /*task=*/2);  // of the last task
  fmt::print("{:.3f} with a standard deviation of {:.3f}\n", p.mean[0], std::sqrt(p.variance[0]));
  return std::isfinite(p.mean[0]) && p.variance[0] > 0 ? 0 : 1;
}
