// The model against its textbook formulas, written out with plain loops, over random shapes and kernels.
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "gp/information.h"
#include "support.h"

namespace kronbit::gp {
namespace {

using testing::kernel_specs;
using testing::random_hyperparameters;
using testing::random_point;

// A⁻¹ b by Gaussian elimination without pivoting, and log det A.
std::vector<double> solve(Matrix a, std::vector<double> b, double* log_determinant = nullptr) {
  const size_t n = b.size();
  double sum = 0.0;
  for (size_t p = 0; p < n; ++p) {
    sum += std::log(a(p, p));
    for (size_t i = p + 1; i < n; ++i) {
      const double share = a(i, p) / a(p, p);
      for (size_t j = p; j < n; ++j) a(i, j) -= share * a(p, j);
      b[i] -= share * b[p];
    }
  }
  for (size_t i = n; i-- > 0;) {
    for (size_t j = i + 1; j < n; ++j) b[i] -= a(i, j) * b[j];
    b[i] /= a(i, i);
  }
  if (log_determinant != nullptr) *log_determinant = sum;
  return b;
}

struct Naive {
  std::vector<Observation> observations;
  Hyperparameters h;
  Covariance k;
  Matrix task_covariance;

  double prior(const Observation& a, const Observation& b) const {
    return task_covariance(static_cast<size_t>(a.task), static_cast<size_t>(b.task)) * k(a.x, b.x);
  }
  Matrix sigma() const {
    Matrix result(observations.size(), observations.size());
    for (size_t i = 0; i < observations.size(); ++i) {
      for (size_t j = 0; j < observations.size(); ++j) result(i, j) = prior(observations[i], observations[j]);
      result(i, i) += h.noise[static_cast<size_t>(observations[i].task)];
    }
    return result;
  }
  std::vector<double> with(const Observation& o) const {
    std::vector<double> result;
    for (const Observation& other : observations) result.push_back(prior(other, o));
    return result;
  }
  double mean(const Observation& o) const {
    std::vector<double> y;
    for (const Observation& other : observations) y.push_back(other.y);
    return dot(with(o), solve(sigma(), y));
  }
  double covariance(const Observation& a, const Observation& b) const {
    return prior(a, b) - (observations.empty() ? 0.0 : dot(with(a), solve(sigma(), with(b))));
  }
};

// Nested runs, single observations and repeats.
std::vector<Observation> random_observations(Rng& rng, size_t count, int tasks, size_t inputs) {
  std::vector<Observation> result;
  while (result.size() < count) {
    const bool again = !result.empty() && rng.below(5) == 0, nested = rng.below(2) == 0;
    const std::vector<double> x = again ? result[rng.below(result.size())].x : random_point(rng, inputs);
    const int top = static_cast<int>(rng.below(static_cast<uint64_t>(tasks)));
    for (int t = nested ? 0 : top; t <= top && result.size() < count; ++t) result.push_back({x, t, rng.normal()});
  }
  return result;
}

TEST(Naive, PredictionsLikelihoodAndInformationAreTheFormulas) {
  constexpr size_t kInputs = 5;
  Rng rng(40, Purpose::Test);
  size_t turn = 0;
  const std::vector<KernelSpec> specs = kernel_specs(kInputs);
  for (size_t count = 1; count <= 32; ++count) {
    for (int tasks = 1; tasks <= 4; ++tasks) {
      const KernelSpec& spec = specs[turn++ % specs.size()];
      const Hyperparameters h = random_hyperparameters(rng, static_cast<size_t>(tasks), kInputs, spec);
      const Naive naive{random_observations(rng, count, tasks, kInputs), h, h.covariance(), h.task_covariance};
      const MultiTaskGp gp(naive.observations, h, no_standardisation(tasks));
      std::vector<double> y;
      for (const Observation& o : naive.observations) y.push_back(o.y);
      double log_determinant = 0.0;
      const std::vector<double> alpha = solve(naive.sigma(), y, &log_determinant);
      EXPECT_NEAR(gp.log_marginal_likelihood(),
                  -0.5 * dot(y, alpha) - 0.5 * log_determinant -
                      0.5 * static_cast<double>(count) * std::log(2.0 * std::numbers::pi),
                  1e-9 * (1.0 + dot(y, alpha)));
      std::vector<std::vector<double>> x{naive.observations[0].x};
      while (x.size() < count + 2) x.push_back(random_point(rng, kInputs));  // more than there are distinct points
      const std::vector<std::vector<double>> some(x.begin(), x.begin() + 2);
      for (int task = 0; task < tasks; ++task) {
        const Posterior many = gp.predict(x, task);
        for (const Posterior& p : {many, gp.predict(some, task)}) {
          for (size_t i = 0; i < 2; ++i) {
            const Observation at{x[i], task, 0.0};
            EXPECT_NEAR(p.mean[i], naive.mean(at), 1e-9);
            EXPECT_NEAR(p.variance[i], naive.covariance(at, at), 1e-9);
          }
        }
      }
      // The residual process: only lower tasks, task matrix R.
      Naive residual = naive;
      const size_t last = static_cast<size_t>(tasks) - 1;
      std::erase_if(residual.observations, [&](const Observation& o) { return o.task == tasks - 1; });
      for (size_t a = 0; a <= last; ++a) {
        for (size_t b = 0; b <= last; ++b) {
          residual.task_covariance(a, b) -=
              h.task_covariance(a, last) * h.task_covariance(last, b) / h.task_covariance(last, last);
        }
      }
      const InformationGain gain(gp, x);
      for (size_t c = 0; c < 2; ++c) {
        for (int top = 0; top < tasks; ++top) {
          double determinants[2];
          const Naive* processes[2] = {&naive, &residual};
          for (int p = 0; p < 2; ++p) {
            Matrix block(static_cast<size_t>(top) + 1, static_cast<size_t>(top) + 1);
            for (int a = 0; a <= top; ++a) {
              for (int b = 0; b <= top; ++b) {
                block(static_cast<size_t>(a), static_cast<size_t>(b)) =
                    processes[p]->covariance({x[c], a, 0.0}, {x[c], b, 0.0}) +
                    (a == b ? h.noise[static_cast<size_t>(a)] : 0.0);
              }
            }
            solve(block, std::vector<double>(block.rows(), 0.0), &determinants[p]);
          }
          EXPECT_NEAR(gain.run_information(c, top), 0.5 * (determinants[0] - determinants[1]), 1e-9);
        }
      }
    }
  }
}

}  // namespace
}  // namespace kronbit::gp
