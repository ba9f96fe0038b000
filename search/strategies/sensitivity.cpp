#include "search/strategies/sensitivity.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "search/strategies/support.h"
#include "tensor/base/error.h"

namespace kronbit::search {
namespace {

double price_of(const Goal& goal, const Candidate& candidate) {
  switch (goal.by) {
    case By::Effective:
      return std::accumulate(candidate.bits.begin(), candidate.bits.end(), 0.0);
    case By::Bops:
      return candidate.cost.bops;
    case By::Latency:
      return candidate.cost.milliseconds;
    case By::Accuracy:
    case By::Size:
      break;
  }
  return candidate.cost.bytes;
}

/// The candidates of one layer by rising price, and which of them were run.
struct Line {
  std::vector<size_t> members;
  std::vector<bool> visited;

  /// The middle of the members around `place` that were not run, to its left or right; nothing where there is none.
  struct Gap {
    size_t middle, length;
  };
  std::optional<Gap> gap(size_t place, bool right) const {
    size_t low = place, high = place;  // the gap is low..high - 1
    if (right) {
      low = high = place + 1;
      while (high < visited.size() && !visited[high]) ++high;
    } else {
      while (low > 0 && !visited[low - 1]) --low;
    }
    if (low == high) return std::nullopt;
    return Gap{low + (high - low) / 2, high - low};
  }
  std::optional<size_t> widest() const {
    std::optional<Gap> best;
    for (size_t i = 0; i < visited.size(); ++i) {
      if (visited[i] || (i > 0 && !visited[i - 1])) continue;
      size_t high = i;
      while (high < visited.size() && !visited[high]) ++high;
      if (!best || high - i > best->length) best = Gap{i + (high - i) / 2, high - i};
    }
    return best ? std::optional(best->middle) : std::nullopt;
  }
};

class Sensitivity final : public Strategy {
 public:
  explicit Sensitivity(StrategyOptions options) : options_(std::move(options)) {}

  Plan plan(const History& history) const override {
    Plan plan;
    std::vector<size_t> allowed;
    std::vector<double> price, error;
    for (size_t c = 0; c < history.candidates.size(); ++c) {
      const Candidate& candidate = history.candidates[c];
      if (!std::isfinite(candidate.log_error))
        input_error("strategy sensitivity", "wanted the sensitivity of every layer, got none");
      if (!options_.goal.limits.allow(candidate.cost)) continue;
      allowed.push_back(c);
      price.push_back(price_of(options_.goal, candidate));
      error.push_back(candidate.log_error);
    }
    std::vector<size_t> order(allowed.size());  // of places in allowed
    std::iota(order.begin(), order.end(), size_t{0});
    const bool by_error = options_.goal.by == By::Accuracy;
    const std::vector<int> layers = by_error ? std::vector<int>(allowed.size(), 0) : nondominated_ranks(price, error);
    const std::vector<double>&first = by_error ? error : price, &second = by_error ? price : error;
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return std::tuple(layers[a], first[a], second[a], a) < std::tuple(layers[b], first[b], second[b], b);
    });
    for (size_t at = 0; at < order.size() && std::ssize(plan.runs) < options_.round;) {
      Line line;
      for (const int layer = layers[order[at]]; at < order.size() && layers[order[at]] == layer; ++at)
        line.members.push_back(allowed[order[at]]);
      for (const size_t c : line.members) line.visited.push_back(!history.may_run(c, history.last()));
      add_runs(history, line, plan);
    }
    return plan;
  }

 private:
  void add_runs(const History& history, Line& line, Plan& plan) const {
    std::vector<std::pair<double, size_t>> scored;  // (-score, place): best first
    for (size_t i = 0; i < line.members.size(); ++i) {
      const size_t c = line.members[i];
      const Candidate& candidate = history.candidates[c];
      if (history.depth(c) == history.tasks())
        scored.push_back({-score(options_.goal, history.known[c].back(), candidate.bits, candidate.cost), i});
    }
    std::sort(scored.begin(), scored.end());
    while (std::ssize(plan.runs) < options_.round) {
      const std::optional<size_t> place = options_.goal.by == By::Accuracy ? first_left(line) : next(line, scored);
      if (!place) return;
      line.visited[*place] = true;
      plan.runs.push_back({0, line.members[*place], history.last(), Reason::Strategy, 0.0});
    }
  }

  static std::optional<size_t> first_left(const Line& line) {
    const auto found = std::find(line.visited.begin(), line.visited.end(), false);
    if (found == line.visited.end()) return std::nullopt;
    return static_cast<size_t>(found - line.visited.begin());
  }

  static std::optional<size_t> next(const Line& line, const std::vector<std::pair<double, size_t>>& scored) {
    for (const auto& [negative, place] : scored) {
      const std::optional<Line::Gap> left = line.gap(place, false), right = line.gap(place, true);
      if (left && (!right || left->length >= right->length)) return left->middle;
      if (right) return right->middle;
    }
    return line.widest();
  }

  StrategyOptions options_;
};

}  // namespace

std::unique_ptr<Strategy> make_sensitivity(const StrategyOptions& options) {
  return std::make_unique<Sensitivity>(options);
}

}  // namespace kronbit::search
