// Random models and observations, keyed by an explicit seed.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "gp/multitask.h"
#include "tensor/rng.h"

namespace kronbit::gp::testing {

inline std::vector<double> random_point(Rng& rng, size_t inputs) {
  std::vector<double> x(inputs);
  for (double& v : x) v = rng.uniform();
  return x;
}

inline Hyperparameters random_hyperparameters(Rng& rng, size_t tasks, size_t inputs,
                                              Kernel kernel = Kernel::SquaredExponential) {
  Matrix factor(tasks, tasks);
  for (size_t a = 0; a < tasks; ++a) {
    for (size_t b = 0; b <= a; ++b) factor(a, b) = rng.uniform(0.2, 1.0);
  }
  Hyperparameters h{multiply(factor, transpose(factor)), {}, {}, kernel};
  for (size_t d = 0; d < inputs; ++d) h.lengthscales.push_back(rng.uniform(0.2, 0.8));
  for (size_t a = 0; a < tasks; ++a) h.noise.push_back(rng.uniform(0.005, 0.1));
  return h;
}

/// Observations drawn from the model itself; pairs of consecutive ones share x.
inline std::vector<Observation> sample(Rng& rng, const Hyperparameters& h, size_t count) {
  std::vector<Observation> observations;
  for (size_t i = 0; i < count; ++i) {
    const std::vector<double> x = i % 2 == 1 ? observations.back().x : random_point(rng, h.lengthscales.size());
    observations.push_back({x, static_cast<int>(rng.below(h.noise.size())), 0.0});
  }
  const Cholesky factor(observation_covariance(observations, h));
  std::vector<double> normal(count);
  for (double& v : normal) v = rng.normal();
  for (size_t i = 0; i < count; ++i) {
    for (size_t j = 0; j <= i; ++j) observations[i].y += factor.lower()(i, j) * normal[j];
  }
  return observations;
}

}  // namespace kronbit::gp::testing
