// The multi-task Gaussian process (intrinsic coregionalisation model): f_l(x), l = 0..m-1, one function per fidelity,
// conditioned on whatever was observed. Hyper-parameters are given here and found in gp/fit.h.
#pragma once

#include <cstddef>
#include <vector>

#include "gp/covariance.h"
#include "gp/matrix.h"

namespace kronbit::gp {

/// One noisy value of task `task` at x.
struct Observation {
  std::vector<double> x;  ///< in [0,1]^d for the priors of the fit to make sense
  int task = 0;           ///< 0..m-1, the last one is the target
  double y = 0.0;
};

/// Formula:  cov(f_a(x), f_b(x')) = task_covariance_ab · k(x, x'), noise variance noise_a
/// Units:    those of the standardised outputs
struct Hyperparameters {
  Matrix task_covariance;  ///< Kf [m, m]
  std::vector<double> lengthscales;
  std::vector<double> noise;  ///< variances, one per task, > 0
  KernelSpec kernel = {};
  std::vector<double> weights = {};  ///< of the kernel's terms; none: all alike

  Covariance covariance() const { return Covariance(kernel, lengthscales, weights); }
};

/// From y to the model's outputs z and back: z = (warp(y) − mean_task) / scale_task; warp(y) = y, or logit(y) with y
/// first clipped to [1e-3, 1 − 1e-3].
struct Standardisation {
  std::vector<double> mean, scale;  ///< per task
  bool logit_warp = false;

  double forward(double y, int task) const;
  double inverse(double z, int task) const;  ///< y of z
  /// ln |dz/dy|, which makes densities of different warps comparable.
  double log_slope(double y, int task) const;
  /// Mean and variance of y when z is normal with the given moments; exact without the warp, by quadrature with it.
  void backward(double z_mean, double z_variance, int task, double& mean_out, double& variance_out) const;
};
/// z = y.
Standardisation no_standardisation(int tasks);
/// Mean and standard deviation of every task; tasks with fewer than 5 observations use those of all observations
/// together, tasks without spread their own mean and the standard deviation of all.
/// Throws: InputError on a bad task, a y that is not finite, or one outside [0,1] under the logit warp.
Standardisation standardise(const std::vector<Observation>& observations, int tasks, bool logit_warp = false);

/// The distinct x among observations, in order of first appearance: nested runs observe one x at several tasks.
struct DistinctPoints {
  std::vector<std::vector<double>> x;
  std::vector<size_t> of;  ///< of each observation: its place in x
};
DistinctPoints distinct_points(const std::vector<Observation>& observations);

/// Of f, without noise, in the units of y.
struct Posterior {
  std::vector<double> mean, variance;
};

/// What a model that has not seen an observation says about it, for each, in the units of y.
struct LeaveOneOut {
  std::vector<double> mean, variance;  ///< of the noisy y_i
  std::vector<double> z;            ///< (z_i − predicted) / predicted sd in standardised units: N(0,1) if calibrated
  std::vector<double> log_density;  ///< of y_i itself, so that warps and kernels can be compared
};

/// Formula:  Σ_ij = Kf[t_i,t_j] k(x_i,x_j) + δ_ij noise[t_i];  mean = c_*ᵀ Σ⁻¹ z;
///           variance = Kf[l,l] k(x_*,x_*) − c_*ᵀ Σ⁻¹ c_*
/// Throws:   InputError on shapes, tasks or values that are not finite; NumericalError when Σ cannot be factorised.
/// Source:   paper §3.2; Bonilla, Chai, Williams 2007; Rasmussen & Williams 2006 p. 19, algorithm 2.1
class MultiTaskGp {
 public:
  MultiTaskGp(std::vector<Observation> observations, Hyperparameters hyperparameters, Standardisation standardisation);

  /// O(n²) per x, or O(P²) for more x than the P distinct observed ones: c_* = E k_*, k_* the covariances with those,
  /// so that c_*ᵀ Σ⁻¹ c_* = |R k_*|², R the upper factor of L⁻¹E.
  /// Exactness: both ways agree to rounding; each gives the same bits for any number of threads
  Posterior predict(const std::vector<std::vector<double>>& x, int task) const;
  /// What f exceeds with probability Phi(-sds), in the units of y. With sds = 0 the median: observed, it leaves every
  /// mean of the posterior as it is.
  /// Formula:  inverse(mean + sds · sd), both of the standardised f
  std::vector<double> quantiles(const std::vector<std::vector<double>>& x, int task, double sds) const;
  /// Between the standardised f at a and at b; 0 where one of them is known exactly.
  /// Formula:  (Kf[l,l] k(a,b) − c_aᵀ Σ⁻¹ c_b) / sqrt(variance_a variance_b)
  double correlation(const std::vector<double>& a, const std::vector<double>& b, int task) const;
  /// Of observations that are not the model's own.
  LeaveOneOut predict_observations(const std::vector<Observation>& held_out) const;
  /// Hyper-parameters and standardisation stay fixed.
  /// Formula:  z_i − μ_−i = α_i / C_ii, variance 1 / C_ii, C = Σ⁻¹, α = Cz
  /// Source:   Rasmussen & Williams 2006 p. 117, eq. 5.12
  LeaveOneOut leave_one_out() const;
  /// The same with all observations of one x left out together: nested runs observe the same x at several tasks, and
  /// leaving out only one of them flatters the model.
  /// Formula:  block B: z_B − μ_−B = C_BB⁻¹ α_B, covariance C_BB⁻¹; z and log_density are the marginal ones
  LeaveOneOut leave_one_x_out() const;
  /// The same means with `factor` times the variance everywhere, the noise's too (in standardised units): what Kf and
  /// noise times the factor give.
  MultiTaskGp widened(double factor) const;
  double log_marginal_likelihood() const;  ///< of the standardised outputs; Rasmussen & Williams 2006 p. 19, eq. 2.30

  int tasks() const { return static_cast<int>(hyperparameters_.noise.size()); }
  double jitter() const { return cholesky_.jitter(); }
  const Hyperparameters& hyperparameters() const { return hyperparameters_; }
  const Standardisation& standardisation() const { return standardisation_; }
  const std::vector<Observation>& observations() const { return observations_; }

 private:
  LeaveOneOut leave_out(const std::vector<std::vector<size_t>>& blocks) const;
  // Of f in standardised units.
  Posterior predict_standardised(const std::vector<std::vector<double>>& x, int task) const;
  // Moments of the noisy z_i, and its residual: one entry of a LeaveOneOut.
  void enter(const Observation& o, double residual, double variance, size_t at, LeaveOneOut& result) const;
  // E of predict.
  Matrix spread_over_observations(int task) const;

  std::vector<Observation> observations_;
  Hyperparameters hyperparameters_;
  Standardisation standardisation_;
  DistinctPoints points_;
  std::vector<double> z_;      // standardised outputs
  Cholesky cholesky_;          // of Σ
  std::vector<double> alpha_;  // Σ⁻¹ z
};

/// Σ of the observations.
Matrix observation_covariance(const std::vector<Observation>& observations, const Hyperparameters& hyperparameters);

/// Throws: InputError unless shapes agree, everything is finite, lengthscales and noise are positive and every
/// observation has a task below the number of tasks and the inputs of the kernel.
void check_model(const std::vector<Observation>& observations, const Hyperparameters& hyperparameters);

}  // namespace kronbit::gp
