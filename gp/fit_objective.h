// What the fit maximises: log marginal likelihood + log priors of packed hyper-parameters, with its analytic gradient.
#pragma once

#include <cstdint>
#include <vector>

#include "gp/maximise.h"
#include "gp/multitask.h"

namespace kronbit::gp {

/// The objective over packed parameters: log s_a (m), log u_ab for b < a (row by row), log ℓ_b, log(w_j/w_0) for the
/// kernel's terms j > 0, log σ²_a (m).
/// Formula:  Kf = LLᵀ, L_ab = s_a u_ab / |u_a|, u_aa = 1: s_a² is the variance of task a, all correlations are positive
/// Formula:  value = log p(z) + Σ_b log LogNormal(ℓ_b; √2 + ½ ln d, √3) + Σ_a log LogNormal(σ²_a; −4, 1)
///           + Σ_a<b log Beta(ρ_ab; 2.5, 1.5) + Σ_j log N(log(w_j/w_0); 0, 2²), d the lengthscales of the same term.
///           The densities are those of ℓ, σ² and ρ themselves: modes 0.205 √d, e⁻⁵, 0.75
/// Formula:  G = ααᵀ − Σ⁻¹;  ∂/∂L = lower triangle of M L, M_ab = Σ_{t_i=a,t_j=b} G_ij k_ij;
///           ∂/∂θ = ½ Σ_ij G_ij Kf[t_i,t_j] ∂k_ij/∂θ for the kernel's own;  ∂/∂σ²_a = ½ Σ_{t_i=a} G_ii
/// Units:    s in 0.1..10, log u in −6..6, ℓ in 0.025..1000, σ² in 1e-4..10 (standardised outputs)
/// Source:   Rasmussen & Williams 2006 p. 114, eq. 5.9; lengthscale prior: Hvarfner, Hellsten, Nardi 2024
class FitObjective {
 public:
  FitObjective(const std::vector<Observation>& observations, const Standardisation& standardisation, KernelSpec kernel);

  size_t dimension() const;
  const std::vector<double>& lower() const { return lower_; }
  const std::vector<double>& upper() const { return upper_; }
  /// Memory used again from one evaluation to the next, by one thread.
  struct Workspace {
    Matrix sigma, inverse, by_points;
    Cholesky cholesky;
  };
  /// Throws: NumericalError when Σ cannot be factorised.
  ObjectiveValue operator()(const std::vector<double>& parameters, Workspace& workspace) const;
  ObjectiveValue operator()(const std::vector<double>& parameters) const;
  /// The log priors and their gradient alone.
  ObjectiveValue log_prior(const std::vector<double>& parameters) const;
  Hyperparameters unpack(const std::vector<double>& parameters) const;
  /// The parameters start `start` of a fit begins at. Start 0: Kf_ab = 0.75^|a−b|, every other value at the mode of its
  /// prior; never the point where all tasks are alike, which is a saddle.
  std::vector<double> start(int start, uint64_t seed) const;

 private:
  Matrix unit_rows(const std::vector<double>& parameters) const;
  // kernel: between the distinct points; alpha = Σ⁻¹ z.
  void add_likelihood_gradient(const std::vector<double>& parameters, const Hyperparameters& h, const Matrix& kernel,
                               Workspace& workspace, const std::vector<double>& alpha,
                               std::vector<double>& gradient) const;
  void add_kernel_gradient(const Hyperparameters& h, const Matrix& by_points, std::vector<double>& gradient) const;

  size_t tasks_;
  KernelSpec kernel_;
  DistinctPoints points_;           // `of`: of the observations ordered by task
  std::vector<size_t> task_begin_;  // observations of task t: task_begin_[t] .. task_begin_[t + 1] − 1
  std::vector<double> z_;
  std::vector<double> lower_, upper_;
};

}  // namespace kronbit::gp
