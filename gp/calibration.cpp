#include "gp/calibration.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "tensor/base/error.h"

namespace kronbit::gp {
namespace {

constexpr double kQuantile90 = 1.6448536269514722;  // of |z|

double normal_cdf(double z) { return 0.5 * std::erfc(-z / std::numbers::sqrt2); }
double normal_log_density(double z) { return -0.5 * z * z - 0.5 * std::log(2.0 * std::numbers::pi); }

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return 0.5 * (values[(n - 1) / 2] + values[n / 2]);
}

// 1, 2, ... in ascending order; equal values share their mean rank.
std::vector<double> ranks(const std::vector<double>& values) {
  const size_t n = values.size();
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t i, size_t j) { return values[i] < values[j]; });
  std::vector<double> result(n);
  for (size_t begin = 0, end = 0; begin < n; begin = end) {
    while (end < n && values[order[end]] == values[order[begin]]) ++end;
    for (size_t i = begin; i < end; ++i) result[order[i]] = 0.5 * static_cast<double>(begin + 1 + end);
  }
  return result;
}

double coverage(const std::vector<double>& z, double quantile) {
  const auto within = std::count_if(z.begin(), z.end(), [&](double v) { return std::abs(v) <= quantile; });
  return static_cast<double>(within) / static_cast<double>(z.size());
}

double kolmogorov_smirnov(std::vector<double> z) {
  std::sort(z.begin(), z.end());
  const double n = static_cast<double>(z.size());
  double result = 0.0;
  for (size_t i = 0; i < z.size(); ++i) {
    const double p = normal_cdf(z[i]), rank = static_cast<double>(i);
    result = std::max({result, (rank + 1.0) / n - p, p - rank / n});
  }
  return result;
}

// Mean log density of each y under a normal with the mean and sd of its task. 0 for tasks without spread.
double constant_log_score(const std::vector<Observation>& observations) {
  int tasks = 0;
  for (const Observation& o : observations) tasks = std::max(tasks, o.task + 1);
  double sum = 0.0;
  for (int task = 0; task < tasks; ++task) {
    std::vector<double> y;
    for (const Observation& o : observations) {
      if (o.task == task) y.push_back(o.y);
    }
    if (y.empty()) continue;
    const double centre = mean(y);
    double variance = 0.0;
    for (double v : y) variance += (v - centre) * (v - centre) / static_cast<double>(y.size());
    if (!(std::sqrt(variance) > 1e-9 * std::abs(centre))) continue;  // no more than rounding
    for (double v : y) sum += normal_log_density((v - centre) / std::sqrt(variance)) - 0.5 * std::log(variance);
  }
  return sum / static_cast<double>(observations.size());
}

// Where the quarter of the highest values is: at least two, with all that equal the lowest of them.
std::vector<size_t> best_quarter(const std::vector<double>& values) {
  std::vector<double> sorted = values;
  std::sort(sorted.rbegin(), sorted.rend());
  const double lowest = sorted[std::min(sorted.size() - 1, std::max<size_t>(sorted.size() / 4, 2) - 1)];
  std::vector<size_t> places;
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] >= lowest) places.push_back(i);
  }
  return places;
}

std::vector<double> at(const std::vector<double>& values, const std::vector<size_t>& places) {
  std::vector<double> chosen;
  for (const size_t i : places) chosen.push_back(values[i]);
  return chosen;
}

}  // namespace

double crps(double centre, double sd, double y) {
  if (!(sd > 0.0)) return std::abs(y - centre);
  const double z = (y - centre) / sd;
  return sd * (z * (2.0 * normal_cdf(z) - 1.0) + 2.0 * std::exp(normal_log_density(z)) - std::numbers::inv_sqrtpi);
}

double spearman(const std::vector<double>& a, const std::vector<double>& b) {
  KB_CHECK_EQ(a.size(), b.size());
  if (a.empty()) return 0.0;
  const std::vector<double> rank_a = ranks(a), rank_b = ranks(b);
  const double middle = 0.5 * static_cast<double>(a.size() + 1);
  double ab = 0.0, aa = 0.0, bb = 0.0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += (rank_a[i] - middle) * (rank_b[i] - middle);
    aa += (rank_a[i] - middle) * (rank_a[i] - middle);
    bb += (rank_b[i] - middle) * (rank_b[i] - middle);
  }
  return aa > 0.0 && bb > 0.0 ? ab / std::sqrt(aa * bb) : 0.0;
}

Calibration calibrate(const LeaveOneOut& predicted, const std::vector<Observation>& observations, int task) {
  KB_CHECK_EQ(predicted.mean.size(), observations.size());
  std::vector<Observation> chosen;
  std::vector<double> y, means, z, errors, squares, log_densities, scores;
  for (size_t i = 0; i < observations.size(); ++i) {
    const Observation& o = observations[i];
    if (task >= 0 && o.task != task) continue;
    chosen.push_back(o);
    y.push_back(o.y);
    means.push_back(predicted.mean[i]);
    z.push_back(predicted.z[i]);
    errors.push_back(std::abs(o.y - predicted.mean[i]));
    squares.push_back(errors.back() * errors.back());
    log_densities.push_back(predicted.log_density[i]);
    scores.push_back(crps(predicted.mean[i], std::sqrt(predicted.variance[i]), o.y));
  }
  if (chosen.empty()) input_error("gp", "calibration: wanted observations of task {}, got none", task);
  Calibration result;
  result.count = chosen.size();
  result.coverage50 = coverage(z, 0.6744897501960817);
  result.coverage80 = coverage(z, 1.2815515655446004);
  result.coverage90 = coverage(z, kQuantile90);
  result.coverage95 = coverage(z, 1.9599639845400545);
  result.mean_z = mean(z);
  for (double v : z) result.mean_z2 += v * v / static_cast<double>(z.size());
  result.log_score = mean(log_densities);
  result.log_gain = result.log_score - constant_log_score(chosen);
  result.crps = mean(scores);
  result.ks = kolmogorov_smirnov(z);
  result.ks_limit = 1.36 / std::sqrt(static_cast<double>(z.size()));
  result.rmse = std::sqrt(mean(squares));
  result.median_error = median(errors);
  result.spearman = spearman(y, means);
  const std::vector<size_t> observed_best = best_quarter(y), predicted_best = best_quarter(means);
  result.spearman_best = spearman(at(y, observed_best), at(means, observed_best));
  result.coverage90_best = coverage(at(z, predicted_best), kQuantile90);
  result.median_error_best = median(at(errors, predicted_best));
  return result;
}

Honesty Calibration::honesty() const {
  const double n = static_cast<double>(count), chance = 1.96 * std::sqrt(2.0 / n);
  if (mean_z2 > std::max(1.4, 1.0 + chance)) return Honesty::TooConfident;
  if (coverage95 < std::min(0.88, 0.95 - 1.96 * std::sqrt(0.95 * 0.05 / n))) return Honesty::TooConfident;
  if (mean_z2 < std::min(0.7, 1.0 - chance)) return Honesty::TooWide;
  if (std::abs(mean_z) > 2.0 / std::sqrt(n)) return Honesty::Biased;
  return Honesty::Honest;
}

std::string Calibration::verdict() const {
  static constexpr const char* kNames[] = {"honest", "too confident", "too wide", "biased"};
  return fmt::format("{}: 95 % intervals hold {:.0f} % of {} observations, mean z^2 {:.2f}, mean z {:+.2f}",
                     kNames[static_cast<size_t>(honesty())], 100.0 * coverage95, count, mean_z2, mean_z);
}

}  // namespace kronbit::gp
