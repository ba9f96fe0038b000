#include "search/acquisition.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "tensor/base/error.h"

namespace kronbit::search {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kLogRoot2Pi = 0.91893853320467274178;

double log_density(double z) { return -0.5 * z * z - kLogRoot2Pi; }
double distribution(double z) { return 0.5 * std::erfc(-z / std::numbers::sqrt2); }

/// K(t) = 1/(t + 2/(t + 3/(t + ...))), t >= 1: Mills' ratio Phi(-t) / phi(t) is 1 / (t + K).
double tail_fraction(double t) {
  double value = 0.0;
  for (int i = 300; i >= 2; --i) value = i / (t + value);
  return 1.0 / (t + value);
}

/// ln Phi(z).
double log_distribution(double z) {
  if (z > -1.0) return std::log1p(-distribution(-z));
  return log_density(z) - std::log(-z + tail_fraction(-z));
}

double log_sum(double a, double b) {
  const double high = std::max(a, b);
  return high == -kInfinity ? high : high + std::log(std::exp(a - high) + std::exp(b - high));
}

/// ln E (f - start)+ 1[f >= floor].
double log_improvement_above(double mean, double sd, double start, double floor) {
  if (floor <= start) return log_expected_improvement(mean, sd, start);
  return log_sum(log_expected_improvement(mean, sd, floor),
                 std::log(floor - start) + log_probability_above(mean, sd, floor));
}

double price_of(const Goal& goal, const Cost& cost) {
  if (goal.by == By::Size) return cost.bytes;
  return goal.by == By::Bops ? cost.bops : cost.milliseconds;
}

}  // namespace

double log_probability_above(double mean, double sd, double threshold) {
  if (!(sd > 0.0)) return mean > threshold ? 0.0 : -kInfinity;
  return log_distribution((mean - threshold) / sd);
}

double log_expected_improvement(double mean, double sd, double best) {
  if (!(sd > 0.0)) return mean > best ? std::log(mean - best) : -kInfinity;
  const double z = (mean - best) / sd;
  if (z > -1.0) return std::log(sd) + std::log(std::exp(log_density(z)) + z * distribution(z));
  const double k = tail_fraction(-z);
  return std::log(sd) + log_density(z) + std::log(k / (k - z));
}

double log_goal_improvement(const Goal& goal, const Candidate& candidate, double mean, double sd,
                            const Incumbent& incumbent) {
  const double floor = goal.min_accuracy > 0.0 ? goal.min_accuracy : -kInfinity;
  if (!incumbent) return score(goal, mean + 2.0 * sd, candidate.bits, candidate.cost);
  // The worst score of a candidate that reaches the floor is above that of any that does not.
  const bool reached = *incumbent > -1e15;
  if (!reached) return log_probability_above(mean, sd, goal.min_accuracy);
  if (goal.by == By::Effective || goal.by == By::Accuracy) {
    const double offset = goal.by == By::Effective ? effective_accuracy(0.0, candidate.bits, goal.k) : 0.0;
    return log_improvement_above(mean, sd, *incumbent - offset, floor);
  }
  const double gain = -price_of(goal, candidate.cost) - *incumbent;
  return gain > 0.0 ? std::log(gain) + log_probability_above(mean, sd, floor) : -kInfinity;
}

std::vector<FrontPoint> front_of(std::vector<FrontPoint> points, const FrontPoint& reference) {
  std::sort(points.begin(), points.end(), [](const FrontPoint& a, const FrontPoint& b) {
    return a.bytes != b.bytes ? a.bytes < b.bytes : a.accuracy > b.accuracy;
  });
  std::vector<FrontPoint> front;
  for (const FrontPoint& point : points) {
    const double beaten = front.empty() ? reference.accuracy : front.back().accuracy;
    if (point.bytes < reference.bytes && point.accuracy > beaten) front.push_back(point);
  }
  return front;
}

double hypervolume(const std::vector<FrontPoint>& front, const FrontPoint& reference) {
  double area = 0.0;
  for (size_t i = 0; i < front.size(); ++i) {
    const double next = i + 1 < front.size() ? front[i + 1].bytes : reference.bytes;
    area += (next - front[i].bytes) * (front[i].accuracy - reference.accuracy);
  }
  return area;
}

double log_hypervolume_improvement(double mean, double sd, double bytes, const std::vector<FrontPoint>& front,
                                   const FrontPoint& reference) {
  double sum = -kInfinity, from = bytes, beaten = reference.accuracy;
  for (size_t i = 0; i <= front.size(); ++i) {
    const double to = std::min(i < front.size() ? front[i].bytes : reference.bytes, reference.bytes);
    if (to > from) {
      sum = log_sum(sum, std::log(to - from) + log_expected_improvement(mean, sd, beaten));
      from = to;
    }
    if (i < front.size()) beaten = front[i].accuracy;
  }
  return sum;
}

double max_value_information(double mean, double sd, double rho_squared, const std::vector<double>& highest) {
  KB_CHECK(sd > 0.0 && rho_squared >= 0.0 && rho_squared < 1.0 && !highest.empty());
  double sum = 0.0;
  for (const double value : highest) {
    const double g = (value - mean) / sd;
    double shrink;  // r (g + r): by how much a ceiling lowers the variance, in (0, 1)
    if (g < -1.0) {
      const double k = tail_fraction(-g);
      shrink = (k - g) * k;
    } else {
      const double r = std::exp(log_density(g) - log_distribution(g));
      shrink = r * (g + r);
    }
    sum += std::log1p(-rho_squared * std::min(1.0, shrink));
  }
  return -0.5 * sum / static_cast<double>(highest.size());
}

std::vector<double> quantiles_of_highest(const std::vector<double>& mean, const std::vector<double>& sd, int count) {
  KB_CHECK(!mean.empty() && mean.size() == sd.size() && count >= 1);
  const auto log_below = [&](double value) {
    double sum = 0.0;
    for (size_t i = 0; i < mean.size(); ++i) {
      const double each = log_probability_above(-mean[i], sd[i], -value);
      if (each == -kInfinity) return each;
      sum += each;
    }
    return sum;
  };
  double least = -kInfinity, most = -kInfinity;
  for (size_t i = 0; i < mean.size(); ++i) {
    least = std::max(least, mean[i] - 10.0 * sd[i]);
    most = std::max(most, mean[i] + 10.0 * sd[i]);
  }
  std::vector<double> quantiles;
  for (int i = 0; i < count; ++i) {
    const double wanted = std::log((i + 0.5) / count);
    double low = least, high = most;
    for (int step = 0; step < 60; ++step) {
      const double middle = 0.5 * (low + high);
      (log_below(middle) < wanted ? low : high) = middle;
    }
    quantiles.push_back(high);
  }
  return quantiles;
}

std::vector<int> nondominated_ranks(const std::vector<double>& a, const std::vector<double>& b) {
  KB_CHECK_EQ(a.size(), b.size());
  std::vector<size_t> order(a.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&](size_t i, size_t j) { return a[i] != a[j] ? a[i] < a[j] : (b[i] != b[j] ? b[i] < b[j] : i < j); });
  // In this order a point can only be dominated by earlier ones, and of each rank the last one has the smallest b.
  std::vector<int> ranks(a.size());
  std::vector<size_t> last_of_rank;
  for (const size_t i : order) {
    size_t rank = 0;
    for (; rank < last_of_rank.size(); ++rank) {
      const size_t j = last_of_rank[rank];
      if (b[j] > b[i] || (b[j] == b[i] && a[j] == a[i])) break;
    }
    if (rank == last_of_rank.size()) last_of_rank.push_back(i);
    last_of_rank[rank] = i;
    ranks[i] = static_cast<int>(rank);
  }
  return ranks;
}

std::vector<double> crowding_distances(const std::vector<double>& a, const std::vector<double>& b,
                                       const std::vector<int>& ranks) {
  std::vector<double> distances(a.size(), 0.0);
  const int most = ranks.empty() ? -1 : *std::max_element(ranks.begin(), ranks.end());
  for (int rank = 0; rank <= most; ++rank)
    for (const std::vector<double>* values : {&a, &b}) {
      std::vector<size_t> members;
      for (size_t i = 0; i < ranks.size(); ++i)
        if (ranks[i] == rank) members.push_back(i);
      std::stable_sort(members.begin(), members.end(), [&](size_t i, size_t j) { return (*values)[i] < (*values)[j]; });
      const double range = (*values)[members.back()] - (*values)[members.front()];
      distances[members.front()] = distances[members.back()] = kInfinity;
      for (size_t m = 1; m + 1 < members.size(); ++m)
        if (range > 0.0) distances[members[m]] += ((*values)[members[m + 1]] - (*values)[members[m - 1]]) / range;
    }
  return distances;
}

}  // namespace kronbit::search
