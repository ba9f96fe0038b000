#include "gp/kronecker.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tensor/base/error.h"

namespace kronbit::gp {
namespace {

// D^-½ Kf D^-½
Matrix scaled_task_covariance(const Hyperparameters& h) {
  Matrix result = h.task_covariance;
  for (size_t b = 0; b < result.cols(); ++b) {
    for (size_t a = 0; a < result.rows(); ++a) result(a, b) /= std::sqrt(h.noise[a] * h.noise[b]);
  }
  return result;
}

}  // namespace

KroneckerGp::KroneckerGp(std::vector<std::vector<double>> x, const Matrix& y, Hyperparameters hyperparameters)
    : x_(std::move(x)), hyperparameters_(std::move(hyperparameters)) {
  const size_t n = x_.size(), m = hyperparameters_.noise.size();
  if (y.rows() != n || y.cols() != m) {
    input_error("gp", "y: wanted {} points x {} tasks, got {} x {}", n, m, y.rows(), y.cols());
  }
  std::vector<Observation> observations;
  for (const std::vector<double>& point : x_) observations.push_back({point, 0, 0.0});
  check_model(observations, hyperparameters_);
  task_ = eigen_symmetric(scaled_task_covariance(hyperparameters_));
  points_ = eigen_symmetric(hyperparameters_.covariance().between(x_));

  Matrix scaled = y;  // y D^-½
  double log_determinant = 0.0;
  for (size_t l = 0; l < m; ++l) {
    const double variance = hyperparameters_.noise[l];
    log_determinant += static_cast<double>(n) * std::log(variance);
    for (size_t i = 0; i < n; ++i) scaled(i, l) /= std::sqrt(variance);
  }
  alpha_ = multiply(multiply(transpose(points_.vectors), scaled), task_.vectors);
  double quadratic = 0.0;
  for (size_t l = 0; l < m; ++l) {
    for (size_t i = 0; i < n; ++i) {
      // Rounding may leave a tiny negative eigenvalue of a singular covariance.
      const double eigenvalue = 1.0 + std::max(task_.values[l], 0.0) * std::max(points_.values[i], 0.0);
      log_determinant += std::log(eigenvalue);
      quadratic += alpha_(i, l) * alpha_(i, l) / eigenvalue;
      alpha_(i, l) /= eigenvalue;
    }
  }
  log_marginal_likelihood_ =
      -0.5 * quadratic - 0.5 * log_determinant - 0.5 * static_cast<double>(n * m) * std::log(2.0 * std::numbers::pi);
  if (!std::isfinite(log_marginal_likelihood_)) input_error("gp", "y: wanted finite values");
}

Posterior KroneckerGp::predict(const std::vector<std::vector<double>>& x, int task) const {
  const Hyperparameters& h = hyperparameters_;
  const size_t n = x_.size(), m = h.noise.size(), l = static_cast<size_t>(task);
  if (task < 0 || l >= m) input_error("gp", "task: wanted 0..{}, got {}", m - 1, task);
  Matrix task_part(m, 1);  // Uᵀ D^-½ Kf_:task
  for (size_t a = 0; a < m; ++a) task_part(a, 0) = h.task_covariance(a, l) / std::sqrt(h.noise[a]);
  task_part = multiply(transpose(task_.vectors), task_part);
  const Matrix rotation = transpose(points_.vectors);
  const Covariance covariance = h.covariance();
  Posterior result;
  for (const std::vector<double>& point : x) {
    if (point.size() != covariance.inputs()) {
      input_error("gp", "x: wanted {} inputs, got {}", covariance.inputs(), point.size());
    }
    Matrix point_part(n, 1);  // Qᵀ k_*
    for (size_t i = 0; i < n; ++i) point_part(i, 0) = covariance(x_[i], point);
    point_part = multiply(rotation, point_part);
    double mean = 0.0, variance = h.task_covariance(l, l) * covariance.variance(point);
    for (size_t a = 0; a < m; ++a) {
      for (size_t i = 0; i < n; ++i) {
        const double c = task_part(a, 0) * point_part(i, 0);
        mean += c * alpha_(i, a);
        variance -= c * c / (1.0 + std::max(task_.values[a], 0.0) * std::max(points_.values[i], 0.0));
      }
    }
    result.mean.push_back(mean);
    result.variance.push_back(std::max(variance, 0.0));
  }
  return result;
}

}  // namespace kronbit::gp
