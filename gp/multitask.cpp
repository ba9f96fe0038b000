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
constexpr int64_t kPredictChunk = 128;    // points solved for together: they stay in the cache

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
  const size_t m = h.noise.size(), inputs = h.covariance().inputs();
  if (m == 0) input_error("gp", "hyper-parameters: wanted at least one task, got none");
  if (h.task_covariance.rows() != m || h.task_covariance.cols() != m) {
    input_error("gp", "task covariance: wanted {0} x {0}, got {1} x {2}", m, h.task_covariance.rows(),
                h.task_covariance.cols());
  }
  for (size_t i = 0; i < m * m; ++i) {
    if (!std::isfinite(h.task_covariance.data()[i])) input_error("gp", "task covariance: wanted finite entries");
  }
  for (double value : h.noise) {
    if (!(value > 0.0) || !std::isfinite(value)) input_error("gp", "noise variance: wanted > 0, got {}", value);
  }
  if (observations.empty()) input_error("gp", "observations: wanted at least one, got none");
  for (const Observation& o : observations) {
    if (o.task < 0 || index(o.task) >= m) input_error("gp", "task: wanted 0..{}, got {}", m - 1, o.task);
    check_inputs({o.x}, inputs);
  }
}

DistinctPoints distinct_points(const std::vector<Observation>& observations) {
  DistinctPoints result;
  std::map<std::vector<double>, size_t> seen;
  for (const Observation& o : observations) {
    const auto [place, is_new] = seen.try_emplace(o.x, result.x.size());
    if (is_new) result.x.push_back(o.x);
    result.of.push_back(place->second);
  }
  return result;
}

Matrix observation_covariance(const std::vector<Observation>& observations, const Hyperparameters& h) {
  const size_t n = observations.size();
  const DistinctPoints points = distinct_points(observations);
  const Matrix k = h.covariance().between(points.x);
  Matrix result(n, n);
  for (size_t j = 0; j < n; ++j) {
    const size_t task = index(observations[j].task);
    for (size_t i = 0; i < n; ++i) {
      result(i, j) = h.task_covariance(index(observations[i].task), task) * k(points.of[i], points.of[j]);
    }
    result(j, j) += h.noise[task];
  }
  return result;
}

MultiTaskGp::MultiTaskGp(std::vector<Observation> observations, Hyperparameters hyperparameters,
                         Standardisation standardisation)
    : observations_(checked(std::move(observations), hyperparameters, standardisation)),
      hyperparameters_(std::move(hyperparameters)),
      standardisation_(std::move(standardisation)),
      points_(distinct_points(observations_)),
      z_(standardised_outputs(observations_, standardisation_)),
      cholesky_(observation_covariance(observations_, hyperparameters_)),
      alpha_(cholesky_.solve(z_)) {}

Matrix MultiTaskGp::spread_over_observations(int task) const {
  Matrix result(observations_.size(), points_.x.size());
  for (size_t i = 0; i < observations_.size(); ++i) {
    result(i, points_.of[i]) = hyperparameters_.task_covariance(index(observations_[i].task), index(task));
  }
  return result;
}

Posterior MultiTaskGp::predict_standardised(const std::vector<std::vector<double>>& x, int task) const {
  const Covariance covariance = hyperparameters_.covariance();
  check_inputs(x, covariance.inputs());
  if (task < 0 || task >= tasks()) input_error("gp", "task: wanted 0..{}, got {}", tasks() - 1, task);
  const size_t n = observations_.size(), distinct = points_.x.size();
  const double task_variance = hyperparameters_.task_covariance(index(task), index(task));
  const Matrix spread = spread_over_observations(task), queries = coordinates(x, covariance.inputs());
  std::vector<double> weights(distinct, 0.0);  // mean = Σ_p weights_p k(x_p, x_*)
  for (size_t i = 0; i < n; ++i) weights[points_.of[i]] += spread(i, points_.of[i]) * alpha_[i];
  const bool many = x.size() > distinct;
  const Matrix factor = many ? upper_factor(cholesky_.solve_lower(spread)) : Matrix();
  Posterior result{std::vector<double>(x.size()), std::vector<double>(x.size())};
  parallel_for(static_cast<int64_t>(x.size()), kPredictChunk, [&](int64_t begin, int64_t end) {
    const size_t first = static_cast<size_t>(begin), count = static_cast<size_t>(end - begin);
    std::vector<double> mean(count, 0.0), known(count, 0.0);
    Matrix k(count, distinct);
    for (size_t p = 0; p < distinct; ++p) {
      double* column = k.column(p);
      covariance.row(points_.x[p], queries, first, first + count, column);
#pragma omp simd
      for (size_t c = 0; c < count; ++c) mean[c] += weights[p] * column[c];
    }
    const Matrix solved = many ? multiply_upper_transposed(std::move(k), factor)
                               : cholesky_.solve_lower_rows(multiply(k, transpose(spread)));
    for (size_t i = 0; i < solved.cols(); ++i) {
      const double* column = solved.column(i);
#pragma omp simd
      for (size_t c = 0; c < count; ++c) known[c] += column[c] * column[c];
    }
    for (size_t c = 0; c < count; ++c) {
      result.mean[first + c] = mean[c];
      result.variance[first + c] = std::max(task_variance * covariance.variance(x[first + c]) - known[c], 0.0);
    }
  });
  return result;
}

Posterior MultiTaskGp::predict(const std::vector<std::vector<double>>& x, int task) const {
  Posterior result = predict_standardised(x, task);
  parallel_for(static_cast<int64_t>(x.size()), kPredictChunk, [&](int64_t begin, int64_t end) {
    for (size_t c = static_cast<size_t>(begin); c < static_cast<size_t>(end); ++c) {
      standardisation_.backward(result.mean[c], result.variance[c], task, result.mean[c], result.variance[c]);
    }
  });
  return result;
}

std::vector<double> MultiTaskGp::quantiles(const std::vector<std::vector<double>>& x, int task, double sds) const {
  const Posterior p = predict_standardised(x, task);
  std::vector<double> y;
  for (size_t c = 0; c < x.size(); ++c)
    y.push_back(standardisation_.inverse(p.mean[c] + sds * std::sqrt(p.variance[c]), task));
  return y;
}

double MultiTaskGp::correlation(const std::vector<double>& a, const std::vector<double>& b, int task) const {
  const Posterior own = predict_standardised({a, b}, task);
  if (!(own.variance[0] > 0.0 && own.variance[1] > 0.0)) return 0.0;
  const Covariance covariance = hyperparameters_.covariance();
  const auto with_observations = [&](const std::vector<double>& x) {
    std::vector<double> c;
    for (const Observation& o : observations_)
      c.push_back(hyperparameters_.task_covariance(index(o.task), index(task)) * covariance(o.x, x));
    return c;
  };
  const double prior = hyperparameters_.task_covariance(index(task), index(task)) * covariance(a, b);
  const double known = dot(with_observations(a), cholesky_.solve(with_observations(b)));
  return std::clamp((prior - known) / std::sqrt(own.variance[0] * own.variance[1]), -1.0, 1.0);
}

MultiTaskGp MultiTaskGp::widened(double factor) const {
  KB_CHECK(factor > 0.0);
  Hyperparameters h = hyperparameters_;
  const size_t m = h.noise.size();
  for (size_t i = 0; i < m * m; ++i) h.task_covariance.data()[i] *= factor;
  for (double& noise : h.noise) noise *= factor;
  return MultiTaskGp(observations_, std::move(h), standardisation_);
}

LeaveOneOut MultiTaskGp::predict_observations(const std::vector<Observation>& held_out) const {
  check_model(held_out, hyperparameters_);
  const std::vector<double> z = standardised_outputs(held_out, standardisation_);
  const std::vector<double> zeros(held_out.size(), 0.0);
  LeaveOneOut result{zeros, zeros, zeros, zeros};
  for (int task = 0; task < tasks(); ++task) {
    std::vector<size_t> places;
    std::vector<std::vector<double>> x;
    for (size_t i = 0; i < held_out.size(); ++i) {
      if (held_out[i].task != task) continue;
      places.push_back(i);
      x.push_back(held_out[i].x);
    }
    const Posterior p = predict_standardised(x, task);
    for (size_t c = 0; c < places.size(); ++c) {
      const size_t at = places[c];
      enter(held_out[at], z[at] - p.mean[c], p.variance[c] + hyperparameters_.noise[index(task)], at, result);
    }
  }
  return result;
}

void MultiTaskGp::enter(const Observation& o, double residual, double variance, size_t at, LeaveOneOut& result) const {
  const double z = standardisation_.forward(o.y, o.task);
  standardisation_.backward(z - residual, variance, o.task, result.mean[at], result.variance[at]);
  result.z[at] = residual / std::sqrt(variance);
  result.log_density[at] = -0.5 * std::log(2.0 * std::numbers::pi * variance) - 0.5 * result.z[at] * result.z[at] +
                           standardisation_.log_slope(o.y, o.task);
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
  std::vector<std::vector<size_t>> blocks(points_.x.size());
  for (size_t i = 0; i < z_.size(); ++i) blocks[points_.of[i]].push_back(i);
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
      enter(observations_[block[i]], residual[i], covariance(i, i), block[i], result);
    }
  }
  return result;
}

}  // namespace kronbit::gp
