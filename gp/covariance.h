// Covariances on [0,1]^d of about unit variance: a weighted sum of terms, each a function of some of the inputs. A new
// kind of term is one more case in covariance.cpp: its value and slope.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "gp/matrix.h"

namespace kronbit::gp {

enum class Kernel {
  SquaredExponential,  ///< exp(−r²/2): Rasmussen & Williams 2006 p. 83, eq. 4.9; with ARD p. 106, eq. 5.1
  Matern52,            ///< (1 + √5 r + 5r²/3) exp(−√5 r): Rasmussen & Williams 2006 p. 85, eq. 4.17
  Linear               ///< 12 (x − ½)(x' − ½): linear regression; unit variance on average over [0,1]
};

/// One term: a kernel on the consecutive inputs from `first` on, cut into blocks of the given sizes. The inputs of a
/// block share a lengthscale and enter by their mean, so that many inputs (bits of a deep network) count as one.
/// Formula:  r² = Σ_b (1/n_b) Σ_{d in b} (x_d − x'_d)² / ℓ_b²;  Linear, without lengthscales:
///           k = (1/B) Σ_b (1/n_b) Σ_{d in b} 12 (x_d − ½)(x'_d − ½)
struct KernelTerm {
  Kernel kernel = Kernel::SquaredExponential;
  size_t first = 0;
  std::vector<size_t> blocks = {};  ///< empty: every input from `first` on, each a block of its own
  /// An input s that the function's values grow with: k times 3 x_s x'_s, of unit variance on average over [0,1].
  std::optional<size_t> scaled_by = {};
};
/// A lengthscale for each of `count` inputs (automatic relevance determination).
KernelTerm each_input(Kernel kernel, size_t first, size_t count);
/// One lengthscale for all of them.
KernelTerm shared_inputs(Kernel kernel, size_t first, size_t count);

/// Formula:  k = Σ_j w_j k_j, w_j > 0, Σ_j w_j = 1
struct KernelSpec {
  std::vector<KernelTerm> terms;

  /// One term on all inputs, with a lengthscale for each.
  KernelSpec(Kernel kernel = Kernel::SquaredExponential) : terms{{kernel}} {}
  KernelSpec(std::vector<KernelTerm> sum) : terms(std::move(sum)) {}

  /// The same with all blocks written out. Throws: InputError when a term reaches beyond the inputs, or there is none.
  KernelSpec over(size_t inputs) const;
  /// The number of inputs, for a spec with all blocks written out.
  size_t inputs() const;
  size_t lengthscales() const;
};

/// A kernel at one value of its argument.
/// Formula:  of r²: slope = −2 dk/d(r²), so that ∂k/∂log ℓ_b = slope · (the part of r² from block b); Linear is its own
///           argument and has slope 0
struct Radial {
  double value, slope;
};
Radial radial(Kernel kernel, double argument);

/// Shapes:   [points, inputs]: each input of all points side by side
Matrix coordinates(const std::vector<std::vector<double>>& points, size_t inputs);

/// A KernelSpec with its hyper-parameters.
class Covariance {
 public:
  /// Requires: one weight per term; none: all alike. A plain kernel takes as many inputs as there are lengthscales.
  /// Throws:   InputError when the numbers do not fit, or are not finite and positive.
  Covariance(const KernelSpec& spec, const std::vector<double>& lengthscales, const std::vector<double>& weights = {});

  size_t inputs() const { return inputs_; }
  double operator()(const std::vector<double>& a, const std::vector<double>& b) const;
  double variance(const std::vector<double>& a) const;  ///< k(a, a): 1 unless a term is Linear or scaled
  /// out[i] = k(a, point begin + i), for i < end − begin.
  void row(const std::vector<double>& a, const Matrix& points, size_t begin, size_t end, double* out) const;
  /// k between all points, both triangles.
  Matrix between(const std::vector<std::vector<double>>& points) const;
  /// Formula:  by_lengthscale[b] = Σ_p≥q G_pq ∂k(x_p, x_q)/∂log ℓ_b;  by_term[j] = Σ_p≥q G_pq k_j(x_p, x_q)
  /// Shapes:   points [P, inputs], g [P, P]: only its lower triangle is read
  void gradient(const Matrix& points, const Matrix& g, std::vector<double>& by_lengthscale,
                std::vector<double>& by_term) const;

 private:
  struct Term {
    Kernel kernel;
    double weight;
    std::vector<size_t> inputs, lengthscale;  // of each input: its place, and that of its lengthscale
    std::optional<size_t> scaled_by;
    std::vector<double> factor;  // of each input: 1/(ℓ² n_b), or 12/(B n_b): what (x − x')², or the product, counts
  };
  // By how much a term is scaled between two values of its scaled_by.
  static double scale(double own, double other) { return 3.0 * own * other; }
  // out[i] = r², or the product for Linear, of a term.
  void arguments(const Term& term, const double* a, size_t a_stride, const Matrix& points, size_t begin, size_t end,
                 double* out) const;

  size_t inputs_ = 0, lengthscales_ = 0;
  std::vector<Term> terms_;
};

}  // namespace kronbit::gp
