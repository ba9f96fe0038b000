#include "search/curve.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "gp/matrix.h"
#include "tensor/base/error.h"

namespace kronbit::search {
namespace {

double power(double x, int n) {
  double product = 1.0;
  for (int i = 0; i < n; ++i) product *= x;
  return product;
}

std::vector<double> bernstein(double x, int degree) {
  std::vector<double> values;
  double binomial = 1.0;
  for (int j = 0; j <= degree; ++j) {
    values.push_back(binomial * power(1.0 - x, degree - j) * power(x, j));
    binomial = binomial * (degree - j) / (j + 1);
  }
  return values;
}

/// T_0(t) .. T_{count-1}(t), by T_{j+1} = 2 t T_j - T_{j-1}.
std::vector<double> chebyshev_polynomials(double t, int count) {
  std::vector<double> values = {1.0, t};
  while (static_cast<int>(values.size()) < count) values.push_back(2.0 * t * values.back() - values[values.size() - 2]);
  values.resize(static_cast<size_t>(count));
  return values;
}

}  // namespace

Curve Curve::bezier(int degree) {
  if (degree < 1 || degree >= kMaxWeights)
    input_error("curve", "bezier degree: wanted 1..{}, got {}", kMaxWeights - 1, degree);
  return Curve(Kind::Bezier, degree + 1);
}

Curve Curve::chebyshev(int weights) {
  if (weights < 1 || weights > kMaxWeights)
    input_error("curve", "chebyshev weights: wanted 1..{}, got {}", kMaxWeights, weights);
  return Curve(Kind::Chebyshev, weights);
}

Curve Curve::line() { return Curve(Kind::Line, 1); }

Curve Curve::parse(std::string_view text) {
  if (text == "line") return line();
  const size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  int number = 0;
  if (colon != std::string_view::npos && (name == "bezier" || name == "chebyshev")) {
    const char* end = text.data() + text.size();
    const auto [stop, status] = std::from_chars(text.data() + colon + 1, end, number);
    if (status == std::errc() && stop == end) return name == "bezier" ? bezier(number) : chebyshev(number);
  }
  input_error("curve", "wanted bezier:DEGREE, chebyshev:WEIGHTS or line, got \"{}\"", text);
}

std::string Curve::text() const {
  switch (kind_) {
    case Kind::Bezier:
      return fmt::format("bezier:{}", weights_ - 1);
    case Kind::Chebyshev:
      return fmt::format("chebyshev:{}", weights_);
    case Kind::Line:
      break;
  }
  return "line";
}

Curve::Basis Curve::basis(double x) const {
  switch (kind_) {
    case Kind::Bezier:
      return {bernstein(x, weights_ - 1), 0.0};
    case Kind::Line:
      return {{x}, 0.5 * (1.0 - x)};
    case Kind::Chebyshev:
      break;
  }
  Basis basis = {chebyshev_polynomials(2.0 * x - 1.0, weights_), 0.5};
  for (double& function : basis.functions) {
    function *= 0.5;
    basis.constant -= 0.5 * function;  // the 1/2 taken from each weight
  }
  return basis;
}

double Curve::value(std::span<const double> w, const Basis& basis) {
  KB_CHECK_EQ(w.size(), basis.functions.size());
  double sum = basis.constant;
  for (size_t j = 0; j < w.size(); ++j) sum += basis.functions[j] * w[j];
  return sum;
}

std::vector<Curve::Basis> Curve::layer_bases(int64_t layers) const {
  KB_CHECK(layers >= 1);
  std::vector<Basis> bases;
  for (int64_t i = 1; i <= layers; ++i) bases.push_back(basis(static_cast<double>(i) / static_cast<double>(layers)));
  return bases;
}

Bits Curve::bits(std::span<const double> w, const std::vector<Basis>& layers) {
  constexpr double kTie = 1e-12;  // a sum that should end in exactly one half may be a rounding error below it
  Bits bits;
  for (const Basis& layer : layers) {
    const double clamped = std::clamp(8.0 * value(w, layer) + 1.0, 1.0, 8.0);
    bits.push_back(static_cast<int>(std::floor(clamped + 0.5 + kTie)));
  }
  return bits;
}

Bits Curve::bits(std::span<const double> w, int64_t layers) const { return bits(w, layer_bases(layers)); }

std::vector<double> Curve::fit(const Bits& bits) const {
  constexpr double kRidge = 1e-6;
  const size_t d = static_cast<size_t>(weights_);
  gp::Matrix gram(d, d);
  std::vector<double> target(d, 0.5 * kRidge);
  for (size_t j = 0; j < d; ++j) gram(j, j) = kRidge;
  const std::vector<Basis> bases = layer_bases(static_cast<int64_t>(bits.size()));
  for (size_t i = 0; i < bits.size(); ++i) {
    const Basis& at = bases[i];
    const double wanted = (bits[i] - 1) / 8.0 - at.constant;
    for (size_t j = 0; j < d; ++j) {
      target[j] += at.functions[j] * wanted;
      for (size_t k = 0; k < d; ++k) gram(j, k) += at.functions[j] * at.functions[k];
    }
  }
  std::vector<double> w = gp::Cholesky(std::move(gram)).solve(std::move(target));
  for (double& weight : w) weight = std::clamp(weight, 0.0, 1.0);
  return w;
}

}  // namespace kronbit::search
