#include "search/strategy.h"

#include <limits>

#include "search/strategies/evolution.h"
#include "search/strategies/halving.h"
#include "search/strategies/information.h"
#include "search/strategies/joint.h"
#include "search/strategies/kronbit.h"
#include "search/strategies/max_value.h"
#include "search/strategies/random.h"
#include "search/strategies/refine.h"
#include "search/strategies/sensitivity.h"
#include "search/strategies/target_gp.h"
#include "tensor/base/error.h"
#include "tensor/io/text.h"
#include "tensor/rng.h"

namespace kronbit::search {
namespace {

double squared_distance(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0.0;
  for (size_t j = 0; j < a.size(); ++j) sum += (a[j] - b[j]) * (a[j] - b[j]);
  return sum;
}

}  // namespace

const std::vector<StrategyInfo>& strategies() {
  static const std::vector<StrategyInfo> all = {
      {"information", "information about the last task per unit of cost, one run in four where the goal may be reached",
       false, make_information},
      {"kronbit", "bits allocated by single-layer errors first, then as max-value", false, make_kronbit},
      {"mi-greedy", "MF-MI-Greedy: information per cost until it stops paying, then one run at the last task", false,
       make_mi_greedy},
      {"max-value", "information about the best score per cost (GIBBON)", false, make_max_value},
      {"ehvi", "expected growth of the front of accuracy and size, half of each round information per cost", true,
       make_ehvi},
      {"gp-ei", "Gaussian process of the last task alone, expected improvement", false, make_gp_ei},
      {"gp-ucb", "Gaussian process of the last task alone, upper confidence bound", false, make_gp_ucb},
      {"sensitivity", "bits allocated by the errors of single layers, without a model", true, make_sensitivity},
      {"hyperband", "Hyperband over the tasks", false, make_hyperband, true},
      {"halving", "successive halving over the tasks", false, make_halving, true},
      {"nsga2", "NSGA-II on accuracy and size, at the last task", true, make_nsga2},
      {"evolution", "regularised evolution, at the last task", true, make_evolution},
      {"uniform", "equal bits for every layer, from 8 down", true, make_uniform},
      {"random", "candidates in a random order, at the last task", false, make_random},
  };
  return all;
}

std::unique_ptr<Strategy> make_strategy(const StrategyOptions& options) {
  if (options.round < 1 || options.round > 1000) input_error("search", "round: wanted 1..1000, got {}", options.round);
  std::string names;
  for (const StrategyInfo& info : strategies()) {
    if (info.name == options.name) {
      if (!options.refine) return info.make(options);
      if (info.counts)
        input_error("strategy", "{}: wanted no --refine (its brackets hold no runs but their own), got it", info.name);
      return make_refine(info.make(options), options);
    }
    names += (names.empty() ? "" : ", ") + std::string(info.name);
  }
  input_error("strategy", "wanted one of {}, got {}", names, quote(options.name));
}

std::vector<PlannedRun> space_filling_design(const History& history, const StrategyOptions& options, bool all_last) {
  std::vector<PlannedRun> runs;
  std::vector<bool> used(history.candidates.size(), false);
  std::vector<double> shift;
  Rng rng(options.seed, Purpose::Search);
  for (size_t j = 0; j < history.candidates[0].w.size(); ++j) shift.push_back(rng.uniform());
  const size_t points = all_last ? shift.size() + 2 : 2 * (shift.size() + 1);
  for (size_t p = 0; p < points; ++p) {
    const std::vector<double> point = space_filling_point(p, shift);
    const int task = all_last || p % 3 == 0 ? history.last() : 0;
    size_t nearest = history.candidates.size();
    double smallest = std::numeric_limits<double>::infinity();
    for (size_t c = 0; c < history.candidates.size(); ++c) {
      if (used[c] || !history.may_run(c, task) || !options.goal.limits.allow(history.candidates[c].cost)) continue;
      const double distance = squared_distance(history.candidates[c].w, point);
      if (distance < smallest) smallest = distance, nearest = c;
    }
    if (nearest == history.candidates.size()) break;
    used[nearest] = true;
    runs.push_back({0, nearest, task, Reason::Design, 0.0});
  }
  return runs;
}

}  // namespace kronbit::search
