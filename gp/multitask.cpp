#include "gp/multitask.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

#include "tensor/base/error.h"
#include "tensor/parallel.h"

namespace kronbit::gp {
namespace {

constexpr double kLargestOutput = 1e100;  // its square is still finite, with room
constexpr int64_t kPredictChunk = 64;     // points solved for together: they stay in the cache

size_t index(int task) { return static_cast<size_t>(task); }

void check_inputs(const std::vector<std::vector<double>>& x, size_t inputs) {
  for (const std::vector<double>& point : x) {
    if (point.size() != inputs) input_error("gp", "x: wanted {} inputs, got {}", inputs, point.size());
    for (double value : point) {
      if (!std::isfinite(value)) input_error("gp", "x: wanted finite inputs, got {}", value);
    }
  }
}

std::vector<double> standardised_outputs(const std::vector<Observation>& observations,
                                         const Standardisation& standardisation) {
  std::vector<double> z;
  z.reserve(observations.size());
  for (const Observation& o : observations) {
    z.push_back(standardisation.forward(o.y, o.task));
    if (!(std::abs(z.back()) <= kLargestOutput)) input_error("gp", "y: wanted a number of moderate size, got {}", o.y);
  }
  return z;
}

std::vector<Observation> checked(std::vector<Observation> observations, const Hyperparameters& hyperparameters,
                                 const Standardisation& standardisation) {
  check_model(observations, hyperparameters);
  if (standardisation.mean.size() != hyperparameters.noise.size() ||
      standardisation.scale.size() != hyperparameters.noise.size()) {
    input_error("gp", "standardisation: wanted {} tasks, got {}", hyperparameters.noise.size(),
                standardisation.mean.size());
  }
  return observations;
}

}  // namespace

void check_model(const std::vector<Observation>& observations, const Hyperparameters& h) {
  const size_t m = h.noise.size(), d = h.lengthscales.size();
  if (m == 0 || d == 0)
    input_error("gp", "hyper-parameters: wanted at least one task and one input, got {} and {}", m, d);
  if (h.task_covariance.rows() != m || h.task_covariance.cols() != m) {
    input_error("gp", "task covariance: wanted {0} x {0}, got {1} x {2}", m, h.task_covariance.rows(),
                h.task_covariance.cols());
  }
  for (size_t i = 0; i < m * m; ++i) {
    if (!std::isfinite(h.task_covariance.data()[i])) input_error("gp", "task covariance: wanted finite entries");
  }
  for (double value : h.lengthscales) {
    if (!(value > 0.0) || !std::isfinite(value)) input_error("gp", "lengthscale: wanted > 0, got {}", value);
  }
  for (double value : h.noise) {
    if (!(value > 0.0) || !std::isfinite(value)) input_error("gp", "noise variance: wanted > 0, got {}", value);
  }
  if (observations.empty()) input_error("gp", "observations: wanted at least one, got none");
  for (const Observation& o : observations) {
    if (o.task < 0 || index(o.task) >= m) input_error("gp", "task: wanted 0..{}, got {}", m - 1, o.task);
    check_inputs({o.x}, d);
  }
}

Matrix observation_covariance(const std::vector<Observation>& observations, const Hyperparameters& h) {
  const size_t n = observations.size();
  Matrix result(n, n);
  for (size_t j = 0; j < n; ++j) {
    const Observation& b = observations[j];
    for (size_t i = j; i < n; ++i) {
      const Observation& a = observations[i];
      result(i, j) = h.task_covariance(index(a.task), index(b.task)) * covariance(h.kernel, a.x, b.x, h.lengthscales);
      result(j, i) = result(i, j);
    }
    result(j, j) += h.noise[index(b.task)];
  }
  return result;
}

MultiTaskGp::MultiTaskGp(std::vector<Observation> observations, Hyperparameters hyperparameters,
                         Standardisation standardisation)
    : observations_(checked(std::move(observations), hyperparameters, standardisation)),
      hyperparameters_(std::move(hyperparameters)),
      standardisation_(std::move(standardisation)),
      z_(standardised_outputs(observations_, standardisation_)),
      cholesky_(observation_covariance(observations_, hyperparameters_)),
      alpha_(cholesky_.solve(z_)) {}

Posterior MultiTaskGp::predict(const std::vector<std::vector<double>>& x, int task) const {
  const Hyperparameters& h = hyperparameters_;
  check_inputs(x, h.lengthscales.size());
  if (task < 0 || task >= tasks()) input_error("gp", "task: wanted 0..{}, got {}", tasks() - 1, task);
  const size_t n = observations_.size();
  Posterior result{std::vector<double>(x.size()), std::vector<double>(x.size())};
  parallel_for(static_cast<int64_t>(x.size()), kPredictChunk, [&](int64_t begin, int64_t end) {
    const size_t first = static_cast<size_t>(begin), count = static_cast<size_t>(end - begin);
    Matrix cross(n, count);  // cov(observation i, f_task(x_c))
    std::vector<double> mean(count, 0.0);
    for (size_t c = 0; c < count; ++c) {
      for (size_t i = 0; i < n; ++i) {
        const Observation& o = observations_[i];
        cross(i, c) =
            h.task_covariance(index(o.task), index(task)) * covariance(h.kernel, o.x, x[first + c], h.lengthscales);
        mean[c] += cross(i, c) * alpha_[i];
      }
    }
    const Matrix solved = cholesky_.solve_lower(std::move(cross));
    for (size_t c = 0; c < count; ++c) {
      double variance = h.task_covariance(index(task), index(task));
      for (size_t i = 0; i < n; ++i) variance -= solved(i, c) * solved(i, c);
      standardisation_.backward(mean[c], std::max(variance, 0.0), task, result.mean[first + c],
                                result.variance[first + c]);
    }
  });
  return result;
}

double MultiTaskGp::log_marginal_likelihood() const {
  return -0.5 * dot(z_, alpha_) - 0.5 * cholesky_.log_determinant() -
         0.5 * static_cast<double>(z_.size()) * std::log(2.0 * std::numbers::pi);
}

LeaveOneOut MultiTaskGp::leave_one_out() const {
  std::vector<std::vector<size_t>> blocks;
  for (size_t i = 0; i < z_.size(); ++i) blocks.push_back({i});
  return leave_out(blocks);
}

LeaveOneOut MultiTaskGp::leave_one_x_out() const {
  std::map<std::vector<double>, std::vector<size_t>> at;
  for (size_t i = 0; i < z_.size(); ++i) at[observations_[i].x].push_back(i);
  std::vector<std::vector<size_t>> blocks;
  for (const auto& [x, block] : at) blocks.push_back(block);
  return leave_out(blocks);
}

LeaveOneOut MultiTaskGp::leave_out(const std::vector<std::vector<size_t>>& blocks) const {
  const size_t n = z_.size();
  const std::vector<double> zeros(n, 0.0);
  LeaveOneOut result{zeros, zeros, zeros, zeros};
  const Matrix inverse = cholesky_.inverse();
  for (const std::vector<size_t>& block : blocks) {
    Matrix part(block.size(), block.size());
    std::vector<double> alpha;
    for (size_t i = 0; i < block.size(); ++i) {
      for (size_t j = 0; j < block.size(); ++j) part(i, j) = inverse(block[i], block[j]);
      alpha.push_back(alpha_[block[i]]);
    }
    const Cholesky factor(std::move(part));
    const std::vector<double> residual = factor.solve(alpha);
    const Matrix covariance = factor.inverse();
    for (size_t i = 0; i < block.size(); ++i) {
      const size_t at = block[i];
      const Observation& o = observations_[at];
      const double variance = covariance(i, i);
      standardisation_.backward(z_[at] - residual[i], variance, o.task, result.mean[at], result.variance[at]);
      result.z[at] = residual[i] / std::sqrt(variance);
      result.log_density[at] = -0.5 * std::log(2.0 * std::numbers::pi * variance) - 0.5 * result.z[at] * result.z[at] +
                               standardisation_.log_slope(o.y, o.task);
    }
  }
  return result;
}

}  // namespace kronbit::gp
