#include "search/ranking.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tensor/base/error.h"

namespace kronbit::search {

std::vector<std::optional<double>> measured_at_last_task(const Explorer& explorer) {
  std::vector<std::optional<double>> measured(explorer.candidates().size());
  for (size_t c = 0; c < measured.size(); ++c)
    if (static_cast<int>(explorer.known(c).size()) == explorer.tasks()) measured[c] = explorer.known(c).back();
  return measured;
}

std::vector<size_t> pareto_front(const std::vector<double>& prices, const std::vector<double>& accuracy) {
  KB_CHECK_EQ(prices.size(), accuracy.size());
  std::vector<size_t> order(prices.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return prices[a] != prices[b] ? prices[a] < prices[b] : accuracy[a] > accuracy[b];
  });
  std::vector<size_t> front;
  for (const size_t index : order)
    if (front.empty() || accuracy[index] > accuracy[front.back()]) front.push_back(index);
  return front;
}

std::vector<Ranked> rank(const Model& model, const Explorer& explorer, const std::vector<Candidate>& candidates,
                         const Goal& goal, const Limits& limits) {
  const std::vector<std::optional<double>> measured = measured_at_last_task(explorer);
  KB_CHECK_EQ(measured.size(), candidates.size());
  const gp::Posterior posterior = model.predict(candidates, model.tasks() - 1);
  std::vector<Ranked> ranked;
  std::vector<double> bytes, accuracies;
  for (size_t c = 0; c < candidates.size(); ++c) {
    const Candidate& candidate = candidates[c];
    if (!limits.allow(candidate.cost) || (explorer.history().dropped[c] && !measured[c])) continue;
    const double accuracy = std::clamp(posterior.mean[c], 0.0, 1.0);
    ranked.push_back({c, accuracy, std::sqrt(std::max(0.0, posterior.variance[c])), measured[c],
                      effective_accuracy(accuracy, candidate.bits, goal.k),
                      score(goal, accuracy, candidate.bits, candidate.cost), false});
    bytes.push_back(candidate.cost.bytes);
    accuracies.push_back(accuracy);
  }
  for (const size_t index : pareto_front(bytes, accuracies)) ranked[index].on_front = true;
  std::sort(ranked.begin(), ranked.end(), [&](const Ranked& a, const Ranked& b) {
    const double bytes_a = candidates[a.candidate].cost.bytes, bytes_b = candidates[b.candidate].cost.bytes;
    if (a.score != b.score) return a.score > b.score;
    return bytes_a != bytes_b ? bytes_a < bytes_b : a.candidate < b.candidate;
  });
  return ranked;
}

Bits nearest_uniform(int64_t layers, double bytes, const CostOf& cost) {
  Bits nearest;
  double smallest = 0.0;
  for (int b = kMinBits; b <= kMaxBits; ++b) {
    Bits bits(static_cast<size_t>(layers), b);
    const double difference = std::abs(cost(bits).bytes - bytes);
    if (nearest.empty() || difference < smallest) smallest = difference, nearest = std::move(bits);
  }
  return nearest;
}

Bits reversed_of_equal_size(const Curve& curve, const Candidate& candidate, const CostOf& cost) {
  constexpr int kSteps = 16;
  const size_t n = candidate.bits.size();
  std::vector<double> heights(candidate.bits.rbegin(), candidate.bits.rend());
  if (candidate.w.size() == static_cast<size_t>(curve.weights()) &&
      curve.bits(candidate.w, static_cast<int64_t>(n)) == candidate.bits)
    for (size_t i = n; i >= 1; --i)
      heights[n - i] = 8.0 * curve.value(static_cast<double>(i) / static_cast<double>(n), candidate.w) + 1.0;
  Bits nearest;
  double smallest = 0.0;
  for (int step = 0; step <= 2 * 7 * kSteps; ++step) {
    // 0, 1, -1, 2, -2 ... sixteenths: the first of equals has the smallest |s|.
    const double shift = (step % 2 == 1 ? (step + 1) / 2 : -step / 2) / static_cast<double>(kSteps);
    Bits bits;
    for (const double height : heights)
      bits.push_back(static_cast<int>(std::floor(std::clamp(height + shift, 1.0, 8.0) + 0.5)));
    const double difference = std::abs(cost(bits).bytes - candidate.cost.bytes);
    if (nearest.empty() || difference < smallest) smallest = difference, nearest = std::move(bits);
  }
  return nearest;
}

}  // namespace kronbit::search
