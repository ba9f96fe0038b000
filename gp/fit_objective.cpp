#include "gp/fit_objective.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

#include "tensor/base/error.h"
#include "tensor/rng.h"

namespace kronbit::gp {
namespace {

constexpr double kMinTaskSd = 0.1, kMaxTaskSd = 10.0;
constexpr double kMaxLogDirection = 6.0;  // correlations between about 0.002 and 1 − 3e-6
constexpr double kMinLengthscale = 0.025, kMaxLengthscale = 1000.0;
constexpr double kMinNoise = 1e-4, kMaxNoise = 10.0;
constexpr double kNoiseLogMean = -4.0, kNoiseLogVariance = 1.0;
constexpr double kLengthscaleLogVariance = 3.0;
constexpr double kStartCorrelation = 0.75;  // the mode of the Beta(2.5, 1.5) prior
constexpr uint64_t kStartKey = 0x6669745f67700000;

double lengthscale_log_mean(size_t inputs) { return std::numbers::sqrt2 + 0.5 * std::log(static_cast<double>(inputs)); }

// log LogNormal(v; log_mean, log_variance) as a function of log v, and its derivative with respect to log v.
struct Term {
  double value, slope;
};
Term log_normal(double log_v, double log_mean, double log_variance) {
  const double step = log_v - log_mean;
  return {-log_v - 0.5 * std::log(2.0 * std::numbers::pi * log_variance) - 0.5 * step * step / log_variance,
          -1.0 - step / log_variance};
}
// log Beta(ρ; 2.5, 1.5), ρ given with 1 − ρ for precision; B(2.5, 1.5) = π/16.
Term log_beta(double rho, double complement) {
  return {1.5 * std::log(rho) + 0.5 * std::log(complement) + std::log(16.0 / std::numbers::pi),
          1.5 / rho - 0.5 / complement};
}

// Packed parameters: s [m], u_ab (b < a) row by row, ℓ [d], σ² [m], all as logarithms.
struct Layout {
  size_t tasks, inputs;
  size_t direction(size_t a, size_t b) const { return tasks + a * (a - 1) / 2 + b; }
  size_t lengthscale(size_t d) const { return tasks + tasks * (tasks - 1) / 2 + d; }
  size_t noise(size_t a) const { return lengthscale(inputs) + a; }
  size_t size() const { return noise(tasks); }
};

// Adds to the gradient with respect to log u_ac what follows from `by_row` = ∂value/∂(unit rows).
// Formula: ∂v_ab/∂log u_ac = v_ab (δ_bc − v_ac²), v_a = u_a/|u_a|
void add_direction_gradient(const Layout& layout, const Matrix& rows, const Matrix& by_row,
                            std::vector<double>& gradient) {
  for (size_t a = 1; a < layout.tasks; ++a) {
    double along = 0.0;
    for (size_t b = 0; b <= a; ++b) along += by_row(a, b) * rows(a, b);
    for (size_t c = 0; c < a; ++c) {
      gradient[layout.direction(a, c)] += by_row(a, c) * rows(a, c) - rows(a, c) * rows(a, c) * along;
    }
  }
}

}  // namespace

FitObjective::FitObjective(const std::vector<Observation>& observations, const Standardisation& standardisation,
                           Kernel kernel)
    : tasks_(standardisation.mean.size()),
      inputs_(observations.empty() ? 0 : observations.front().x.size()),
      kernel_(kernel) {
  Hyperparameters any{Matrix::identity(tasks_), std::vector<double>(inputs_, 1.0), std::vector<double>(tasks_, 1.0),
                      kernel};
  check_model(observations, any);
  std::map<std::vector<double>, size_t> seen;
  for (const Observation& o : observations) {
    const auto [place, is_new] = seen.try_emplace(o.x, points_.size());
    if (is_new) points_.push_back(o.x);
    point_.push_back(place->second);
    task_.push_back(static_cast<size_t>(o.task));
    z_.push_back(standardisation.forward(o.y, o.task));
    if (!std::isfinite(z_.back())) input_error("gp", "y: wanted a value that can be standardised, got {}", o.y);
  }
  const Layout layout{tasks_, inputs_};
  lower_.assign(layout.size(), -kMaxLogDirection);
  upper_.assign(layout.size(), kMaxLogDirection);
  for (size_t a = 0; a < tasks_; ++a) {
    lower_[a] = std::log(kMinTaskSd);
    upper_[a] = std::log(kMaxTaskSd);
    lower_[layout.noise(a)] = std::log(kMinNoise);
    upper_[layout.noise(a)] = std::log(kMaxNoise);
  }
  for (size_t d = 0; d < inputs_; ++d) {
    lower_[layout.lengthscale(d)] = std::log(kMinLengthscale);
    upper_[layout.lengthscale(d)] = std::log(kMaxLengthscale);
  }
}

size_t FitObjective::dimension() const { return Layout{tasks_, inputs_}.size(); }

// Row a: u_a/|u_a|, lower triangular.
Matrix FitObjective::unit_rows(const std::vector<double>& parameters) const {
  KB_CHECK_EQ(parameters.size(), dimension());
  const Layout layout{tasks_, inputs_};
  Matrix rows = Matrix::identity(tasks_);
  for (size_t a = 1; a < tasks_; ++a) {
    double norm = 1.0;
    for (size_t b = 0; b < a; ++b) {
      rows(a, b) = std::exp(parameters[layout.direction(a, b)]);
      norm += rows(a, b) * rows(a, b);
    }
    for (size_t b = 0; b <= a; ++b) rows(a, b) /= std::sqrt(norm);
  }
  return rows;
}

Hyperparameters FitObjective::unpack(const std::vector<double>& parameters) const {
  const Layout layout{tasks_, inputs_};
  const Matrix rows = unit_rows(parameters);
  Hyperparameters h{Matrix(tasks_, tasks_), {}, {}, kernel_};
  for (size_t a = 0; a < tasks_; ++a) {
    for (size_t b = 0; b < tasks_; ++b) {
      for (size_t c = 0; c <= std::min(a, b); ++c) h.task_covariance(a, b) += rows(a, c) * rows(b, c);
      h.task_covariance(a, b) *= std::exp(parameters[a] + parameters[b]);
    }
    h.noise.push_back(std::exp(parameters[layout.noise(a)]));
  }
  for (size_t d = 0; d < inputs_; ++d) h.lengthscales.push_back(std::exp(parameters[layout.lengthscale(d)]));
  return h;
}

ObjectiveValue FitObjective::log_prior(const std::vector<double>& parameters) const {
  const Layout layout{tasks_, inputs_};
  ObjectiveValue result{0.0, std::vector<double>(layout.size(), 0.0)};
  const auto add = [&](size_t i, const Term& term) {
    result.value += term.value;
    result.gradient[i] += term.slope;
  };
  for (size_t d = 0; d < inputs_; ++d) {
    const size_t i = layout.lengthscale(d);
    add(i, log_normal(parameters[i], lengthscale_log_mean(inputs_), kLengthscaleLogVariance));
  }
  for (size_t a = 0; a < tasks_; ++a) {
    const size_t i = layout.noise(a);
    add(i, log_normal(parameters[i], kNoiseLogMean, kNoiseLogVariance));
  }
  const Matrix rows = unit_rows(parameters);
  Matrix by_row(tasks_, tasks_);
  for (size_t a = 1; a < tasks_; ++a) {
    for (size_t b = 0; b < a; ++b) {
      double rho = 0.0, complement = 0.0;  // of two unit vectors: 1 − ρ = |v_a − v_b|²/2
      for (size_t c = 0; c <= a; ++c) {
        rho += rows(a, c) * rows(b, c);
        complement += 0.5 * (rows(a, c) - rows(b, c)) * (rows(a, c) - rows(b, c));
      }
      const Term term = log_beta(rho, complement);
      result.value += term.value;
      for (size_t c = 0; c <= a; ++c) {
        by_row(a, c) += term.slope * rows(b, c);
        by_row(b, c) += term.slope * rows(a, c);
      }
    }
  }
  add_direction_gradient(layout, rows, by_row, result.gradient);
  return result;
}

ObjectiveValue FitObjective::operator()(const std::vector<double>& parameters) const {
  const Hyperparameters h = unpack(parameters);
  const size_t n = z_.size(), points = points_.size();
  Matrix kernel(points, points), slope(points, points);
  for (size_t q = 0; q < points; ++q) {
    for (size_t p = 0; p < points; ++p) {
      const Radial k = radial(kernel_, squared_distance(points_[p], points_[q], h.lengthscales));
      kernel(p, q) = k.value;
      slope(p, q) = k.slope;
    }
  }
  Matrix sigma(n, n);
  for (size_t j = 0; j < n; ++j) {
    for (size_t i = j; i < n; ++i) {
      sigma(i, j) = h.task_covariance(task_[i], task_[j]) * kernel(point_[i], point_[j]);
    }
    sigma(j, j) += h.noise[task_[j]];
  }
  const Cholesky cholesky(std::move(sigma));
  const std::vector<double> alpha = cholesky.solve(z_);
  ObjectiveValue result = log_prior(parameters);
  result.value -= 0.5 * dot(z_, alpha) + 0.5 * cholesky.log_determinant() +
                  0.5 * static_cast<double>(n) * std::log(2.0 * std::numbers::pi);
  add_likelihood_gradient(parameters, h, kernel, slope, cholesky, alpha, result.gradient);
  return result;
}

void FitObjective::add_likelihood_gradient(const std::vector<double>& parameters, const Hyperparameters& h,
                                           const Matrix& kernel, const Matrix& slope, const Cholesky& cholesky,
                                           const std::vector<double>& alpha, std::vector<double>& gradient) const {
  const Layout layout{tasks_, inputs_};
  const size_t n = z_.size(), points = points_.size();
  const Matrix inverse = cholesky.inverse();
  Matrix by_task(tasks_, tasks_);    // M of the header
  Matrix by_points(points, points);  // Σ G_ij Kf[t_i,t_j] over the observations at two points
  for (size_t j = 0; j < n; ++j) {
    for (size_t i = j; i < n; ++i) {
      const double g = alpha[i] * alpha[j] - inverse(i, j);
      const double k = kernel(point_[i], point_[j]);
      by_task(task_[i], task_[j]) += g * k;
      if (i != j) by_task(task_[j], task_[i]) += g * k;
      by_points(point_[i], point_[j]) += (i == j ? 1.0 : 2.0) * g * h.task_covariance(task_[i], task_[j]);
    }
    const size_t noise = layout.noise(task_[j]);
    gradient[noise] += 0.5 * (alpha[j] * alpha[j] - inverse(j, j)) * h.noise[task_[j]];
  }
  for (size_t q = 0; q < points; ++q) {
    for (size_t p = 0; p < points; ++p) {
      const double weight = 0.5 * by_points(p, q) * slope(p, q);
      for (size_t d = 0; d < inputs_; ++d) {
        const double step = (points_[p][d] - points_[q][d]) / h.lengthscales[d];
        gradient[layout.lengthscale(d)] += weight * step * step;
      }
    }
  }
  const Matrix rows = unit_rows(parameters);
  Matrix factor = rows;  // L
  for (size_t a = 0; a < tasks_; ++a) {
    for (size_t b = 0; b <= a; ++b) factor(a, b) *= std::exp(parameters[a]);
  }
  Matrix by_row = multiply(by_task, factor);  // ∂/∂L, then ∂/∂(unit rows)
  for (size_t a = 0; a < tasks_; ++a) {
    for (size_t b = 0; b <= a; ++b) {
      gradient[a] += by_row(a, b) * factor(a, b);
      by_row(a, b) *= std::exp(parameters[a]);
    }
  }
  add_direction_gradient(layout, rows, by_row, gradient);
}

std::vector<double> FitObjective::start(int start, uint64_t seed) const {
  const Layout layout{tasks_, inputs_};
  std::vector<double> parameters(layout.size(), 0.0);
  // The Cholesky factor of Kf_ab = ρ^|a−b| is ρ^a in column 0 and ρ^(a−b) sqrt(1−ρ²) in column b > 0.
  const double rest = std::sqrt(1.0 - kStartCorrelation * kStartCorrelation);
  for (size_t a = 1; a < tasks_; ++a) {
    for (size_t b = 0; b < a; ++b) {
      const double power = static_cast<double>(a - b) * std::log(kStartCorrelation);
      parameters[layout.direction(a, b)] = b == 0 ? power - std::log(rest) : power;
    }
  }
  const double mode = lengthscale_log_mean(inputs_) - kLengthscaleLogVariance;
  for (size_t d = 0; d < inputs_; ++d) parameters[layout.lengthscale(d)] = mode;
  for (size_t a = 0; a < tasks_; ++a) parameters[layout.noise(a)] = kNoiseLogMean - kNoiseLogVariance;
  if (start > 0) {
    Rng rng(seed, Purpose::Search, {kStartKey, static_cast<uint64_t>(start)});
    for (size_t i = tasks_; i < layout.size(); ++i) parameters[i] += rng.normal();
  }
  for (size_t i = 0; i < layout.size(); ++i) parameters[i] = std::clamp(parameters[i], lower_[i], upper_[i]);
  return parameters;
}

}  // namespace kronbit::gp
