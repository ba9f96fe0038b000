#include "search/strategies/kronbit.h"

#include <algorithm>
#include <cmath>

#include "search/strategies/max_value.h"

namespace kronbit::search {
namespace {

class Kronbit final : public MaxValue {
 public:
  using MaxValue::MaxValue;

 private:
  std::vector<PlannedRun> design(const History& history) const override {
    const std::vector<PlannedRun> spread = space_filling_design(history, options_);
    std::vector<PlannedRun> runs = allocations(history);
    if (runs.empty()) return spread;
    const auto is_taken = [&](size_t c) {
      return std::any_of(runs.begin(), runs.end(), [c](const PlannedRun& run) { return run.candidate == c; });
    };
    for (PlannedRun run : spread) {
      run.task = 0;
      if (!is_taken(run.candidate)) runs.push_back(run);
    }
    return runs;
  }

  /// Of the front of (bytes, log_error), at the last task. Empty where an error is not known.
  std::vector<PlannedRun> allocations(const History& history) const {
    const std::vector<size_t> allowed = open_candidates(history, options_.goal, history.last());
    std::vector<double> bytes, error;
    for (const size_t c : allowed) {
      bytes.push_back(history.candidates[c].cost.bytes);
      error.push_back(history.candidates[c].log_error);
      if (!std::isfinite(error.back())) return {};
    }
    const std::vector<int> ranks = nondominated_ranks(bytes, error);
    std::vector<std::pair<double, size_t>> front;
    for (size_t i = 0; i < allowed.size(); ++i)
      if (ranks[i] == 0) front.push_back({error[i], allowed[i]});
    std::sort(front.begin(), front.end());
    std::vector<PlannedRun> runs;
    // Under a limit the best guesses are the least errors, and the first may be beaten by noise alone; runs far below
    // the limit would say nothing about them.
    const bool accuracy = options_.goal.by == By::Accuracy;
    for (const double share : accuracy ? std::vector{0.0, 0.0} : std::vector{1.0 / 6, 3.0 / 6, 5.0 / 6}) {
      if (front.empty()) break;
      const double level = front.front().first + share * (front.back().first - front.front().first);
      const auto nearest = std::min_element(front.begin(), front.end(), [&](const auto& a, const auto& b) {
        return std::abs(a.first - level) < std::abs(b.first - level);
      });
      runs.push_back({0, nearest->second, history.last(), Reason::Design, 0.0});
      front.erase(nearest);
    }
    return runs;
  }
};

}  // namespace

std::unique_ptr<Strategy> make_kronbit(const StrategyOptions& options) { return std::make_unique<Kronbit>(options); }

}  // namespace kronbit::search
