// Stationary covariances of unit variance on [0,1]^d with one lengthscale per dimension (automatic relevance
// determination). A new covariance is one more case in covariance.cpp: its value and slope as functions of r².
#pragma once

#include <vector>

namespace kronbit::gp {

enum class Kernel {
  SquaredExponential,  ///< exp(−r²/2): Rasmussen & Williams 2006 p. 83, eq. 4.9; with ARD p. 106, eq. 5.1
  Matern52             ///< (1 + √5 r + 5r²/3) exp(−√5 r): Rasmussen & Williams 2006 p. 85, eq. 4.17
};

/// k as a function of r² = Σ_d (x_d − x'_d)² / ℓ_d².
/// Formula:  slope = −2 dk/d(r²), so that ∂k/∂log ℓ_d = slope · (x_d − x'_d)²/ℓ_d²
struct Radial {
  double value, slope;
};
Radial radial(Kernel kernel, double squared_distance);

/// Formula:  r² = Σ_d (a_d − b_d)² / ℓ_d²
double squared_distance(const std::vector<double>& a, const std::vector<double>& b,
                        const std::vector<double>& lengthscales);

/// k(a, b); k(a, a) = 1.
double covariance(Kernel kernel, const std::vector<double>& a, const std::vector<double>& b,
                  const std::vector<double>& lengthscales);

/// ∂k(a, b)/∂log ℓ_d for every d.
std::vector<double> covariance_gradient(Kernel kernel, const std::vector<double>& a, const std::vector<double>& b,
                                        const std::vector<double>& lengthscales);

}  // namespace kronbit::gp
