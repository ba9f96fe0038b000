#include "gp/fit_objective.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

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
constexpr double kMaxLogRatio = 8.0;  // of a kernel term's weight to that of the first
constexpr double kRatioVariance = 4.0;
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

// Packed parameters: s [m], u_ab (b < a) row by row, ℓ, w_j/w_0 (j > 0), σ² [m], all as logarithms.
struct Layout {
  size_t tasks, lengthscales, terms;
  Layout(size_t task_count, const KernelSpec& kernel)
      : tasks(task_count), lengthscales(kernel.lengthscales()), terms(kernel.terms.size()) {}
  size_t direction(size_t a, size_t b) const { return tasks + a * (a - 1) / 2 + b; }
  size_t lengthscale(size_t b) const { return tasks + tasks * (tasks - 1) / 2 + b; }
  size_t ratio(size_t j) const { return lengthscale(lengthscales) + j - 1; }
  size_t noise(size_t a) const { return lengthscale(lengthscales) + terms - 1 + a; }
  size_t size() const { return noise(tasks); }
};

// Of every lengthscale: the mean of its logarithm.
std::vector<double> lengthscale_log_means(const KernelSpec& kernel) {
  std::vector<double> result;
  for (const KernelTerm& term : kernel.terms) {
    if (term.kernel == Kernel::Linear) continue;
    result.insert(result.end(), term.blocks.size(), lengthscale_log_mean(term.blocks.size()));
  }
  return result;
}

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
                           KernelSpec kernel)
    : tasks_(standardisation.mean.size()),
      kernel_(kernel.over(observations.empty() ? 0 : observations.front().x.size())),
      task_begin_(tasks_ + 1, 0) {
  check_model(observations, {Matrix::identity(tasks_), std::vector<double>(kernel_.lengthscales(), 1.0),
                             std::vector<double>(tasks_, 1.0), kernel_});
  std::vector<Observation> ordered = observations;
  std::stable_sort(ordered.begin(), ordered.end(),
                   [](const Observation& a, const Observation& b) { return a.task < b.task; });
  points_ = distinct_points(ordered);
  for (const Observation& o : ordered) {
    for (size_t later = static_cast<size_t>(o.task) + 1; later <= tasks_; ++later) ++task_begin_[later];
    z_.push_back(standardisation.forward(o.y, o.task));
    if (!std::isfinite(z_.back())) input_error("gp", "y: wanted a value that can be standardised, got {}", o.y);
  }
  const Layout layout(tasks_, kernel_);
  lower_.assign(layout.size(), -kMaxLogDirection);
  upper_.assign(layout.size(), kMaxLogDirection);
  for (size_t a = 0; a < tasks_; ++a) {
    lower_[a] = std::log(kMinTaskSd);
    upper_[a] = std::log(kMaxTaskSd);
    lower_[layout.noise(a)] = std::log(kMinNoise);
    upper_[layout.noise(a)] = std::log(kMaxNoise);
  }
  for (size_t b = 0; b < layout.lengthscales; ++b) {
    lower_[layout.lengthscale(b)] = std::log(kMinLengthscale);
    upper_[layout.lengthscale(b)] = std::log(kMaxLengthscale);
  }
  for (size_t j = 1; j < layout.terms; ++j) {
    lower_[layout.ratio(j)] = -kMaxLogRatio;
    upper_[layout.ratio(j)] = kMaxLogRatio;
  }
}

size_t FitObjective::dimension() const { return Layout(tasks_, kernel_).size(); }

// Row a: u_a/|u_a|, lower triangular.
Matrix FitObjective::unit_rows(const std::vector<double>& parameters) const {
  KB_CHECK_EQ(parameters.size(), dimension());
  const Layout layout(tasks_, kernel_);
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
  const Layout layout(tasks_, kernel_);
  const Matrix rows = unit_rows(parameters);
  Hyperparameters h{Matrix(tasks_, tasks_), {}, {}, kernel_, {}};
  for (size_t a = 0; a < tasks_; ++a) {
    for (size_t b = 0; b < tasks_; ++b) {
      for (size_t c = 0; c <= std::min(a, b); ++c) h.task_covariance(a, b) += rows(a, c) * rows(b, c);
      h.task_covariance(a, b) *= std::exp(parameters[a] + parameters[b]);
    }
    h.noise.push_back(std::exp(parameters[layout.noise(a)]));
  }
  for (size_t b = 0; b < layout.lengthscales; ++b) {
    h.lengthscales.push_back(std::exp(parameters[layout.lengthscale(b)]));
  }
  h.weights.push_back(1.0);
  for (size_t j = 1; j < layout.terms; ++j) h.weights.push_back(std::exp(parameters[layout.ratio(j)]));
  const double sum = std::accumulate(h.weights.begin(), h.weights.end(), 0.0);
  for (double& weight : h.weights) weight /= sum;
  return h;
}

ObjectiveValue FitObjective::log_prior(const std::vector<double>& parameters) const {
  const Layout layout(tasks_, kernel_);
  ObjectiveValue result{0.0, std::vector<double>(layout.size(), 0.0)};
  const auto add = [&](size_t i, const Term& term) {
    result.value += term.value;
    result.gradient[i] += term.slope;
  };
  const std::vector<double> log_means = lengthscale_log_means(kernel_);
  for (size_t b = 0; b < layout.lengthscales; ++b) {
    const size_t i = layout.lengthscale(b);
    add(i, log_normal(parameters[i], log_means[b], kLengthscaleLogVariance));
  }
  for (size_t j = 1; j < layout.terms; ++j) {
    const double v = parameters[layout.ratio(j)];
    add(layout.ratio(j),
        {-0.5 * std::log(2.0 * std::numbers::pi * kRatioVariance) - 0.5 * v * v / kRatioVariance, -v / kRatioVariance});
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
  Workspace workspace;
  return (*this)(parameters, workspace);
}

ObjectiveValue FitObjective::operator()(const std::vector<double>& parameters, Workspace& workspace) const {
  const Hyperparameters h = unpack(parameters);
  const size_t n = z_.size();
  const Matrix kernel = h.covariance().between(points_.x);
  Matrix& sigma = workspace.sigma;
  sigma.reshape(n, n);
  for (size_t b = 0; b < tasks_; ++b) {
    for (size_t j = task_begin_[b]; j < task_begin_[b + 1]; ++j) {
      const double* k = kernel.column(points_.of[j]);
      double* column = sigma.column(j);
      for (size_t a = b; a < tasks_; ++a) {
        const double scale = h.task_covariance(a, b);
        for (size_t i = std::max(j, task_begin_[a]); i < task_begin_[a + 1]; ++i) column[i] = scale * k[points_.of[i]];
      }
      column[j] += h.noise[b];
    }
  }
  const Cholesky& cholesky = workspace.cholesky;
  workspace.cholesky.factorize(sigma);
  const std::vector<double> alpha = cholesky.solve(z_);
  ObjectiveValue result = log_prior(parameters);
  result.value -= 0.5 * dot(z_, alpha) + 0.5 * cholesky.log_determinant() +
                  0.5 * static_cast<double>(n) * std::log(2.0 * std::numbers::pi);
  add_likelihood_gradient(parameters, h, kernel, workspace, alpha, result.gradient);
  return result;
}

void FitObjective::add_likelihood_gradient(const std::vector<double>& parameters, const Hyperparameters& h,
                                           const Matrix& kernel, Workspace& workspace, const std::vector<double>& alpha,
                                           std::vector<double>& gradient) const {
  const Layout layout(tasks_, kernel_);
  Matrix& inverse = workspace.inverse;
  workspace.cholesky.inverse_lower_triangle(inverse);
  Matrix by_task(tasks_, tasks_);           // M of the header
  Matrix& by_points = workspace.by_points;  // Σ_i>j + ½ Σ_i=j of G_ij Kf[t_i,t_j] at two points
  by_points = Matrix(points_.x.size(), points_.x.size());
  for (size_t b = 0; b < tasks_; ++b) {
    for (size_t j = task_begin_[b]; j < task_begin_[b + 1]; ++j) {
      const double own = alpha[j] * alpha[j] - inverse(j, j);  // G_jj: once, all others also above the diagonal
      gradient[layout.noise(b)] += 0.5 * own * h.noise[b];
      by_task(b, b) -= own * kernel(points_.of[j], points_.of[j]);
      by_points(points_.of[j], points_.of[j]) -= 0.5 * own * h.task_covariance(b, b);
      const double *k = kernel.column(points_.of[j]), *c = inverse.column(j);
      double* by_point = by_points.column(points_.of[j]);
      for (size_t a = b; a < tasks_; ++a) {
        const double scale = h.task_covariance(a, b);
        double sum = 0.0;
        for (size_t i = std::max(j, task_begin_[a]); i < task_begin_[a + 1]; ++i) {
          const double g = alpha[i] * alpha[j] - c[i];
          sum += g * k[points_.of[i]];
          by_point[points_.of[i]] += scale * g;
        }
        by_task(a, b) += sum;
        by_task(b, a) += sum;
      }
    }
  }
  add_kernel_gradient(h, by_points, gradient);
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

// Formula: ½ Σ_ij = Σ_i>j + ½ Σ_i=j;  ∂k/∂log(w_j/w_0) = w_j (k_j − k)
void FitObjective::add_kernel_gradient(const Hyperparameters& h, const Matrix& by_points,
                                       std::vector<double>& gradient) const {
  const Layout layout(tasks_, kernel_);
  Matrix folded = by_points;  // both orders of two points below the diagonal
  for (size_t q = 0; q < folded.cols(); ++q) {
    for (size_t p = q + 1; p < folded.rows(); ++p) folded(p, q) += by_points(q, p);
  }
  std::vector<double> by_lengthscale, by_term;
  const Covariance covariance = h.covariance();
  covariance.gradient(coordinates(points_.x, covariance.inputs()), folded, by_lengthscale, by_term);
  for (size_t b = 0; b < by_lengthscale.size(); ++b) gradient[layout.lengthscale(b)] += by_lengthscale[b];
  const double whole = dot(h.weights, by_term);
  for (size_t j = 1; j < by_term.size(); ++j) gradient[layout.ratio(j)] += h.weights[j] * (by_term[j] - whole);
}

std::vector<double> FitObjective::start(int start, uint64_t seed) const {
  const Layout layout(tasks_, kernel_);
  std::vector<double> parameters(layout.size(), 0.0);
  // The Cholesky factor of Kf_ab = ρ^|a−b| is ρ^a in column 0 and ρ^(a−b) sqrt(1−ρ²) in column b > 0.
  const double rest = std::sqrt(1.0 - kStartCorrelation * kStartCorrelation);
  for (size_t a = 1; a < tasks_; ++a) {
    for (size_t b = 0; b < a; ++b) {
      const double power = static_cast<double>(a - b) * std::log(kStartCorrelation);
      parameters[layout.direction(a, b)] = b == 0 ? power - std::log(rest) : power;
    }
  }
  const std::vector<double> log_means = lengthscale_log_means(kernel_);
  for (size_t b = 0; b < layout.lengthscales; ++b) {
    parameters[layout.lengthscale(b)] = log_means[b] - kLengthscaleLogVariance;  // the mode
  }
  for (size_t a = 0; a < tasks_; ++a) parameters[layout.noise(a)] = kNoiseLogMean - kNoiseLogVariance;
  if (start > 0) {
    Rng rng(seed, Purpose::Search, {kStartKey, static_cast<uint64_t>(start)});
    for (size_t i = tasks_; i < layout.size(); ++i) parameters[i] += rng.normal();
  }
  for (size_t i = 0; i < layout.size(); ++i) parameters[i] = std::clamp(parameters[i], lower_[i], upper_[i]);
  return parameters;
}

}  // namespace kronbit::gp
