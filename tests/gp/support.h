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

/// One of everything a covariance can be made of, over at least 4 inputs.
inline std::vector<KernelSpec> kernel_specs(size_t inputs) {
  const Kernel se = Kernel::SquaredExponential, matern = Kernel::Matern52, linear = Kernel::Linear;
  return {KernelSpec(se).over(inputs),
          KernelSpec(matern).over(inputs),
          KernelSpec({shared_inputs(se, 0, inputs)}),
          KernelSpec({{matern, 0, {2, inputs - 2}}}),
          KernelSpec({each_input(se, 0, 1), shared_inputs(se, 1, inputs - 1)}),
          KernelSpec({each_input(linear, 0, 1), each_input(matern, 0, 1), shared_inputs(se, 1, inputs - 1)}),
          KernelSpec({shared_inputs(linear, 0, inputs), each_input(se, 2, 2)}),
          KernelSpec({each_input(se, 0, 1), {matern, 1, {inputs - 2, 1}, 0}, {linear, 1, {2}, inputs - 1}})};
}

struct KernelValues {
  std::vector<double> lengthscales, weights;
};
inline KernelValues random_kernel(Rng& rng, const KernelSpec& spec) {
  KernelValues result;
  for (size_t b = 0; b < spec.lengthscales(); ++b) result.lengthscales.push_back(rng.uniform(0.2, 0.8));
  double sum = 0.0;
  for (size_t j = 0; j < spec.terms.size(); ++j) sum += result.weights.emplace_back(rng.uniform(0.2, 1.0));
  for (double& weight : result.weights) weight /= sum;
  return result;
}

inline Hyperparameters random_hyperparameters(Rng& rng, size_t tasks, size_t inputs, const KernelSpec& kernel = {}) {
  Matrix factor(tasks, tasks);
  for (size_t a = 0; a < tasks; ++a) {
    for (size_t b = 0; b <= a; ++b) factor(a, b) = rng.uniform(0.2, 1.0);
  }
  const KernelSpec spec = kernel.over(inputs);
  const KernelValues values = random_kernel(rng, spec);
  Hyperparameters h{multiply(factor, transpose(factor)), values.lengthscales, {}, spec, values.weights};
  for (size_t a = 0; a < tasks; ++a) h.noise.push_back(rng.uniform(0.005, 0.1));
  return h;
}

/// Observations drawn from the model itself; pairs of consecutive ones share x.
inline std::vector<Observation> sample(Rng& rng, const Hyperparameters& h, size_t count) {
  std::vector<Observation> observations;
  for (size_t i = 0; i < count; ++i) {
    const std::vector<double> x = i % 2 == 1 ? observations.back().x : random_point(rng, h.covariance().inputs());
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
