// Mean and standard deviation of a few numbers: seeds, searches, repeats.
#pragma once

#include <cmath>
#include <numeric>
#include <vector>

namespace kronbit::app {

/// 0 with none.
inline double mean(const std::vector<double>& values) {
  return values.empty() ? 0 : std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// Of the distribution they were drawn from; 0 with fewer than two.
/// Formula:  sqrt(sum (v - mean)^2 / (n - 1))
inline double sd(const std::vector<double>& values) {
  if (values.size() < 2) return 0;
  const double middle = mean(values);
  double sum = 0;
  for (const double v : values) sum += (v - middle) * (v - middle);
  return std::sqrt(sum / static_cast<double>(values.size() - 1));
}

}  // namespace kronbit::app
