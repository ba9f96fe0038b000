// How far two lists of numbers are apart.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

namespace kronbit {

/// |a - b| / |b - from|: how far apart, compared with the way from `from` (empty: zero) to b.
inline double distance(const std::vector<float>& a, const std::vector<float>& b, const std::vector<float>& from = {}) {
  double difference = 0, way = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    difference += std::pow(double{a[i]} - double{b[i]}, 2);
    way += std::pow(double{b[i]} - (from.empty() ? 0.0 : double{from[i]}), 2);
  }
  return std::sqrt(difference / std::max(way, 1e-30));
}

}  // namespace kronbit
