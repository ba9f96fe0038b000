// Curves: a few weights in [0,1] draw a smooth function over the depth of the network, whose rounded values are the
// bits of its layers. Many weights give the same bits; space.h lists each bit list once.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/bits.h"

namespace kronbit::search {

/// A family of functions p(x; w), x in [0,1], w in [0,1]^d.
/// Formula:  Bezier of degree k, d = k + 1:  p(x) = sum_j C(k,j) (1-x)^(k-j) x^j w_j
///           Chebyshev of d weights:         p(x) = ((w - 1/2) . [T_0 .. T_{d-1}](2x - 1) + 1) / 2
///           Line, d = 1:                    p(x) = 1/2 + x (w_0 - 1/2)
///           bits of layer i of n:           round_half_up(clamp(8 p(i/n) + 1, 1, 8)), i = 1..n
/// Source:   paper §3.1; Line is its Fig. 4
class Curve {
 public:
  static Curve bezier(int degree);      ///< 1..kMaxWeights - 1
  static Curve chebyshev(int weights);  ///< 1..kMaxWeights
  static Curve line();
  /// "bezier:1", "chebyshev:4" or "line". Throws: InputError.
  static Curve parse(std::string_view text);
  std::string text() const;

  /// More weights than this are no constraint on a network of 64 layers, and binomials stay exact.
  static constexpr int kMaxWeights = 16;

  int weights() const { return weights_; }
  /// True where p is linear in x with two free ends: the distinct bit lists can be listed exactly.
  bool is_linear_bezier() const { return kind_ == Kind::Bezier && weights_ == 2; }

  /// The d functions multiplied by the weights, and the constant added to their sum.
  struct Basis {
    std::vector<double> functions;
    double constant = 0.0;
  };
  Basis basis(double x) const;
  double value(double x, std::span<const double> w) const { return value(w, basis(x)); }
  /// Requires: w.size() == weights(), layers >= 1.
  Bits bits(std::span<const double> w, int64_t layers) const;
  /// The same with the basis of every layer at hand, for many weights.
  static Bits bits(std::span<const double> w, const std::vector<Basis>& layers);
  std::vector<Basis> layer_bases(int64_t layers) const;

  /// The weights whose curve is nearest to any bit list: where one that no curve gives is placed among the others.
  /// Formula:  argmin_w sum_i (p(i/n; w) - (b_i - 1)/8)^2 + 1e-6 |w - 1/2|^2, then clamped to [0,1]
  std::vector<double> fit(const Bits& bits) const;

 private:
  static double value(std::span<const double> w, const Basis& basis);
  enum class Kind { Bezier, Chebyshev, Line };
  Curve(Kind kind, int weights) : kind_(kind), weights_(weights) {}
  Kind kind_;
  int weights_;
};

}  // namespace kronbit::search
