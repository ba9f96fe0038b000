#include "gp/covariance.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tensor/base/error.h"

namespace kronbit::gp {

KernelTerm each_input(Kernel kernel, size_t first, size_t count) {
  return {kernel, first, std::vector<size_t>(count, 1)};
}

KernelTerm shared_inputs(Kernel kernel, size_t first, size_t count) { return {kernel, first, {count}}; }

KernelSpec KernelSpec::over(size_t inputs) const {
  if (terms.empty()) input_error("gp", "kernel: wanted at least one term, got none");
  KernelSpec result = *this;
  for (KernelTerm& term : result.terms) {
    if (term.blocks.empty() && term.first < inputs) term.blocks.assign(inputs - term.first, 1);
    const size_t end = std::accumulate(term.blocks.begin(), term.blocks.end(), term.first);
    if (term.scaled_by && *term.scaled_by >= inputs)
      input_error("gp", "kernel: wanted to be scaled by one of {} inputs, got {}", inputs, *term.scaled_by);
    if (term.blocks.empty() || end > inputs || std::count(term.blocks.begin(), term.blocks.end(), 0u) > 0)
      input_error("gp", "kernel: wanted terms of at least one of {} inputs, got the inputs {}..{}", inputs, term.first,
                  end);
  }
  return result;
}

size_t KernelSpec::inputs() const {
  size_t result = 0;
  for (const KernelTerm& term : terms) {
    KB_CHECK(!term.blocks.empty());
    result = std::max(result, std::accumulate(term.blocks.begin(), term.blocks.end(), term.first));
    if (term.scaled_by) result = std::max(result, *term.scaled_by + 1);
  }
  return result;
}

size_t KernelSpec::lengthscales() const {
  size_t result = 0;
  for (const KernelTerm& term : terms) result += term.kernel == Kernel::Linear ? 0 : term.blocks.size();
  return result;
}

Radial radial(Kernel kernel, double argument) {
  switch (kernel) {
    case Kernel::SquaredExponential: {
      const double value = std::exp(-0.5 * argument);
      return {value, value};
    }
    case Kernel::Matern52: {
      const double r = std::sqrt(5.0 * argument), decay = std::exp(-r);
      if (decay == 0.0) return {0.0, 0.0};  // r may be infinite
      return {(1.0 + r + r * r / 3.0) * decay, 5.0 / 3.0 * (1.0 + r) * decay};
    }
    case Kernel::Linear:
      return {argument, 0.0};
  }
  KB_CHECK(false);
  return {0.0, 0.0};
}

Matrix coordinates(const std::vector<std::vector<double>>& points, size_t inputs) {
  Matrix result(points.size(), inputs);
  for (size_t p = 0; p < points.size(); ++p) {
    KB_CHECK_EQ(points[p].size(), inputs);
    for (size_t d = 0; d < inputs; ++d) result(p, d) = points[p][d];
  }
  return result;
}

Covariance::Covariance(const KernelSpec& spec, const std::vector<double>& lengthscales,
                       const std::vector<double>& weights)
    : lengthscales_(lengthscales.size()) {
  const bool plain = spec.terms.size() == 1 && spec.terms[0].blocks.empty();
  const KernelSpec whole = plain ? spec.over(lengthscales.size()) : spec.over(spec.inputs());
  inputs_ = whole.inputs();
  if (whole.lengthscales() != lengthscales.size())
    input_error("gp", "lengthscales: wanted {} for this kernel, got {}", whole.lengthscales(), lengthscales.size());
  if (!weights.empty() && weights.size() != whole.terms.size())
    input_error("gp", "kernel weights: wanted {}, got {}", whole.terms.size(), weights.size());
  for (double value : lengthscales) {
    if (!(value > 0.0) || !std::isfinite(value)) input_error("gp", "lengthscale: wanted > 0, got {}", value);
  }
  size_t lengthscale = 0;
  for (size_t j = 0; j < whole.terms.size(); ++j) {
    const KernelTerm& from = whole.terms[j];
    const double weight = weights.empty() ? 1.0 / static_cast<double>(whole.terms.size()) : weights[j];
    if (!(weight >= 0.0) || !std::isfinite(weight)) input_error("gp", "kernel weight: wanted >= 0, got {}", weight);
    Term term{from.kernel, weight, {}, {}, from.scaled_by, {}};
    size_t input = from.first;
    for (size_t size : from.blocks) {
      const bool linear = from.kernel == Kernel::Linear;
      const double share = 1.0 / static_cast<double>(size);
      const double factor = linear ? 12.0 * share / static_cast<double>(from.blocks.size())
                                   : share / lengthscales[lengthscale] / lengthscales[lengthscale];
      for (size_t i = 0; i < size; ++i) {
        term.inputs.push_back(input++);
        term.lengthscale.push_back(lengthscale);
        term.factor.push_back(factor);
      }
      if (!linear) ++lengthscale;
    }
    terms_.push_back(std::move(term));
  }
}

void Covariance::arguments(const Term& term, const double* a, size_t a_stride, const Matrix& points, size_t begin,
                           size_t end, double* out) const {
  const size_t count = end - begin;
  std::fill(out, out + count, 0.0);
  for (size_t i = 0; i < term.inputs.size(); ++i) {
    const double *x = points.column(term.inputs[i]) + begin, own = a[term.inputs[i] * a_stride],
                 factor = term.factor[i];
    if (term.kernel == Kernel::Linear) {
#pragma omp simd
      for (size_t c = 0; c < count; ++c) out[c] += factor * (own - 0.5) * (x[c] - 0.5);
    } else {
#pragma omp simd
      for (size_t c = 0; c < count; ++c) out[c] += factor * (own - x[c]) * (own - x[c]);
    }
  }
}

double Covariance::operator()(const std::vector<double>& a, const std::vector<double>& b) const {
  double value = 0.0;
  row(a, coordinates({b}, inputs_), 0, 1, &value);
  return value;
}

double Covariance::variance(const std::vector<double>& a) const {
  double result = 0.0;
  for (const Term& term : terms_) {
    double value = term.kernel == Kernel::Linear ? 0.0 : 1.0;
    for (size_t i = 0; i < term.inputs.size() && term.kernel == Kernel::Linear; ++i) {
      const double step = a[term.inputs[i]] - 0.5;
      value += term.factor[i] * step * step;
    }
    if (term.scaled_by) value *= scale(a[*term.scaled_by], a[*term.scaled_by]);
    result += term.weight * value;
  }
  return result;
}

void Covariance::row(const std::vector<double>& a, const Matrix& points, size_t begin, size_t end, double* out) const {
  KB_CHECK_EQ(a.size(), inputs_);
  KB_CHECK_EQ(points.cols(), inputs_);
  const size_t count = end - begin;
  std::fill(out, out + count, 0.0);
  std::vector<double> argument(count);
  for (const Term& term : terms_) {
    arguments(term, a.data(), 1, points, begin, end, argument.data());
    for (size_t c = 0; c < count; ++c) argument[c] = radial(term.kernel, argument[c]).value;
    if (term.scaled_by) {
      const double *x = points.column(*term.scaled_by) + begin, own = a[*term.scaled_by];
      for (size_t c = 0; c < count; ++c) argument[c] *= scale(own, x[c]);
    }
    for (size_t c = 0; c < count; ++c) out[c] += term.weight * argument[c];
  }
}

Matrix Covariance::between(const std::vector<std::vector<double>>& points) const {
  const size_t count = points.size();
  const Matrix x = coordinates(points, inputs_);
  Matrix result(count, count);
  for (size_t q = 0; q < count; ++q) {
    row(points[q], x, q, count, result.column(q) + q);
    for (size_t p = q + 1; p < count; ++p) result(q, p) = result(p, q);
  }
  return result;
}

void Covariance::gradient(const Matrix& points, const Matrix& g, std::vector<double>& by_lengthscale,
                          std::vector<double>& by_term) const {
  const size_t count = points.rows();
  by_lengthscale.assign(lengthscales_, 0.0);
  by_term.assign(terms_.size(), 0.0);
  std::vector<double> argument(count);
  for (size_t q = 0; q < count; ++q) {
    const double* weight = g.column(q) + q;
    for (size_t j = 0; j < terms_.size(); ++j) {
      const Term& term = terms_[j];
      arguments(term, points.data() + q, count, points, q, count, argument.data());
      for (size_t c = 0; c < count - q; ++c) {
        const Radial k = radial(term.kernel, argument[c]);
        const double scaled =
            weight[c] * (term.scaled_by ? scale(points(q, *term.scaled_by), points(q + c, *term.scaled_by)) : 1.0);
        by_term[j] += scaled * k.value;
        argument[c] = scaled * term.weight * k.slope;
      }
      if (term.kernel == Kernel::Linear) continue;
      for (size_t i = 0; i < term.inputs.size(); ++i) {
        const double *x = points.column(term.inputs[i]) + q, own = x[0];
        double sum = 0.0;
#pragma omp simd reduction(+ : sum)
        for (size_t c = 0; c < count - q; ++c) sum += argument[c] * (own - x[c]) * (own - x[c]);
        by_lengthscale[term.lengthscale[i]] += sum * term.factor[i];
      }
    }
  }
}

}  // namespace kronbit::gp
