#include "search/smoothing.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "gp/matrix.h"

namespace kronbit::search {
namespace {

constexpr size_t kTerms = 3;

std::array<double, kTerms> terms_of(double divergence) { return {1.0, divergence, std::sqrt(divergence)}; }

double logit(double a) {
  a = std::clamp(a, 1e-3, 1.0 - 1e-3);
  return std::log(a / (1.0 - a));
}

}  // namespace

std::vector<std::vector<double>> smoothed_accuracies(const History& history) {
  std::vector<std::vector<double>> smoothed = history.known;
  for (size_t task = 0; task < static_cast<size_t>(history.tasks()); ++task) {
    std::vector<size_t> told;
    for (size_t c = 0; c < history.known.size(); ++c)
      if (task < history.known[c].size() && task < history.divergences[c].size()) told.push_back(c);
    if (told.size() < kEnoughToSmooth) continue;
    double scale = 0.0, weights = 0.0;  // so that the normal equations are of the order of 1
    for (const size_t c : told) scale = std::max(scale, history.divergences[c][task]);
    if (!(scale > 0.0)) continue;
    gp::Matrix normal(kTerms, kTerms);
    std::vector<double> right(kTerms, 0.0);
    for (const size_t c : told) {
      const double a = std::clamp(history.known[c][task], 1e-3, 1.0 - 1e-3), weight = a * (1.0 - a);
      weights += weight;
      const auto terms = terms_of(history.divergences[c][task] / scale);
      for (size_t i = 0; i < kTerms; ++i) {
        right[i] += weight * terms[i] * logit(a);
        for (size_t j = 0; j < kTerms; ++j) normal(i, j) += weight * terms[i] * terms[j];
      }
    }
    for (size_t i = 0; i < kTerms; ++i) {
      right[i] /= weights;
      for (size_t j = 0; j < kTerms; ++j) normal(i, j) /= weights;
    }
    const std::vector<double> c = gp::Cholesky(normal).solve(right);
    for (const size_t each : told) {
      const auto terms = terms_of(history.divergences[each][task] / scale);
      const double value = c[0] * terms[0] + c[1] * terms[1] + c[2] * terms[2];
      smoothed[each][task] = 0.5 * (history.known[each][task] + 1.0 / (1.0 + std::exp(-value)));
    }
  }
  return smoothed;
}

}  // namespace kronbit::search
