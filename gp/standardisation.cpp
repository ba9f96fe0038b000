#include <algorithm>
#include <cmath>

#include "gp/multitask.h"
#include "tensor/base/error.h"

namespace kronbit::gp {
namespace {

constexpr size_t kEnoughForOneTask = 5;
constexpr double kLogitClip = 1e-3;

double clip(double y) { return std::clamp(y, kLogitClip, 1.0 - kLogitClip); }
double warp(double y, bool logit) { return logit ? std::log(clip(y) / (1.0 - clip(y))) : y; }
double logistic(double v) { return 1.0 / (1.0 + std::exp(-v)); }

struct Moments {
  double mean = 0.0, scale = 1.0;
  bool has_spread = false;
};

Moments moments(const std::vector<double>& values) {
  Moments result;
  const double n = static_cast<double>(values.size());
  for (double v : values) result.mean += v / n;
  double sum = 0.0;
  for (double v : values) sum += (v - result.mean) * (v - result.mean);
  const double scale = values.size() < 2 ? 0.0 : std::sqrt(sum / (n - 1.0));
  result.has_spread = scale > 1e-9 * std::abs(result.mean) && scale > 1e-150;
  if (result.has_spread) result.scale = scale;
  return result;
}

}  // namespace

double Standardisation::forward(double y, int task) const {
  const size_t t = static_cast<size_t>(task);
  return (warp(y, logit_warp) - mean[t]) / scale[t];
}

double Standardisation::inverse(double z, int task) const {
  const size_t t = static_cast<size_t>(task);
  const double v = mean[t] + scale[t] * z;
  return logit_warp ? logistic(v) : v;
}

double Standardisation::log_slope(double y, int task) const {
  const double slope = logit_warp ? 1.0 / (clip(y) * (1.0 - clip(y))) : 1.0;
  return std::log(slope / scale[static_cast<size_t>(task)]);
}

void Standardisation::backward(double z_mean, double z_variance, int task, double& mean_out,
                               double& variance_out) const {
  const size_t t = static_cast<size_t>(task);
  const double centre = mean[t] + scale[t] * z_mean, sd = scale[t] * std::sqrt(z_variance);
  if (!logit_warp) {
    mean_out = centre;
    variance_out = sd * sd;
    return;
  }
  // The trapezoid rule over 8 standard deviations either side: its error falls exponentially with the number of nodes.
  constexpr int kNodes = 128;
  double weight = 0.0, first = 0.0, second = 0.0;
  const double middle = logistic(centre);
  for (int i = 0; i <= kNodes; ++i) {
    const double u = 16.0 * i / kNodes - 8.0, w = std::exp(-0.5 * u * u);
    const double value = logistic(centre + sd * u) - middle;
    weight += w;
    first += w * value;
    second += w * value * value;
  }
  first /= weight;
  mean_out = middle + first;
  variance_out = std::max(second / weight - first * first, 0.0);
}

Standardisation no_standardisation(int tasks) {
  const size_t m = static_cast<size_t>(std::max(tasks, 0));
  return {std::vector<double>(m, 0.0), std::vector<double>(m, 1.0), false};
}

Standardisation standardise(const std::vector<Observation>& observations, int tasks, bool logit_warp) {
  if (tasks < 1) input_error("gp", "tasks: wanted at least 1, got {}", tasks);
  if (observations.empty()) input_error("gp", "observations: wanted at least one, got none");
  std::vector<double> all;
  std::vector<std::vector<double>> by_task(static_cast<size_t>(tasks));
  for (const Observation& o : observations) {
    if (o.task < 0 || o.task >= tasks) input_error("gp", "task: wanted 0..{}, got {}", tasks - 1, o.task);
    if (!std::isfinite(o.y) || std::abs(o.y) > 1e100) input_error("gp", "y: wanted a finite number, got {}", o.y);
    if (logit_warp && (o.y < 0.0 || o.y > 1.0)) input_error("gp", "y: wanted 0..1 for the logit warp, got {}", o.y);
    all.push_back(warp(o.y, logit_warp));
    by_task[static_cast<size_t>(o.task)].push_back(all.back());
  }
  const Moments pooled = moments(all);
  Standardisation result;
  result.logit_warp = logit_warp;
  for (const std::vector<double>& values : by_task) {
    const Moments own = moments(values);
    const bool enough = values.size() >= kEnoughForOneTask;
    result.mean.push_back(enough ? own.mean : pooled.mean);
    result.scale.push_back(enough && own.has_spread ? own.scale : pooled.scale);
  }
  return result;
}

}  // namespace kronbit::gp
