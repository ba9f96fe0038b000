// The multi-task model when every task was observed at every x: two small eigendecompositions instead of one large
// Cholesky, O(N³ + m³) instead of O(N³m³). Same numbers as MultiTaskGp without standardisation.
#pragma once

#include <vector>

#include "gp/multitask.h"

namespace kronbit::gp {

/// Formula:  Σ = Kf ⊗ Kx + D ⊗ I, D = diag(noise);  D^-½ Kf D^-½ = U W Uᵀ, Kx = Q X Qᵀ;
///           log det Σ = N Σ_l log σ²_l + Σ_il log(1 + X_i W_l);
///           Σ⁻¹ = (D^-½U ⊗ Q) diag(1 / (1 + X_i W_l)) (D^-½U ⊗ Q)ᵀ
/// Shapes:   x [N][d], y [N, m]
/// Source:   Rasmussen & Williams 2006 p. 19; Stegle et al. 2011, "Efficient inference in matrix-variate Gaussian
///           models"
class KroneckerGp {
 public:
  KroneckerGp(std::vector<std::vector<double>> x, const Matrix& y, Hyperparameters hyperparameters);

  double log_marginal_likelihood() const { return log_marginal_likelihood_; }
  Posterior predict(const std::vector<std::vector<double>>& x, int task) const;

 private:
  std::vector<std::vector<double>> x_;
  Hyperparameters hyperparameters_;
  Eigen task_;    // U, W
  Eigen points_;  // Q, X
  Matrix alpha_;  // [N, m]: (Uᵀ ⊗ Qᵀ)(D^-½ ⊗ I) y / (1 + X_i W_l)
  double log_marginal_likelihood_ = 0.0;
};

}  // namespace kronbit::gp
