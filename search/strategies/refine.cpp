#include "search/strategies/refine.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "search/acquisition.h"
#include "search/strategies/support.h"
#include "tensor/base/error.h"

namespace kronbit::search {
namespace {

constexpr size_t kParents = 3;

/// `bits` with a group of layers at the next allowed number of bits in `direction`; nothing at the end of the range.
std::optional<Bits> stepped(Bits bits, const std::vector<size_t>& group, int direction, const LayerRules& rules) {
  const std::vector<int>& allowed = rules.allowed();
  const auto here = std::find(allowed.begin(), allowed.end(), bits[group[0]]);
  if (rules.is_fixed(group[0]) || here == allowed.end()) return std::nullopt;
  if (direction > 0 ? here + 1 == allowed.end() : here == allowed.begin()) return std::nullopt;
  for (const size_t layer : group) bits[layer] = *(here + direction);
  return bits;
}

class Refine final : public Strategy {
 public:
  Refine(std::unique_ptr<Strategy> curve, StrategyOptions options)
      : curve_(std::move(curve)), options_(std::move(options)) {
    KB_CHECK(options_.make_candidate && options_.rules);
  }

  Plan plan(const History& history) const override {
    Plan plan = curve_->plan(history);
    if (history.told.size() < kRefineAfter || !history.anything_known()) return plan;
    const std::optional<Candidate> step = best_neighbour(history, planned(plan, history));
    if (!step) return plan;
    if (std::ssize(plan.runs) >= options_.round) drop_last(plan, history);
    PlannedRun run{0, find_candidate(history.candidates, step->bits), history.last(), Reason::Refine, 0.0};
    if (run.candidate == history.candidates.size()) {
      run.candidate += plan.added.size();
      plan.added.push_back(*step);
    }
    plan.runs.push_back(run);
    return plan;
  }

 private:
  static std::set<Bits> planned(const Plan& plan, const History& history) {
    const size_t listed = history.candidates.size();
    std::set<Bits> bits;
    for (const PlannedRun& run : plan.runs)
      bits.insert(run.candidate < listed ? history.candidates[run.candidate].bits
                                         : plan.added[run.candidate - listed].bits);
    return bits;
  }

  /// With the candidate that was added for it: who reads the plan back adds those that are run.
  static void drop_last(Plan& plan, const History& history) {
    const size_t dropped = plan.runs.back().candidate;
    plan.runs.pop_back();
    if (dropped < history.candidates.size()) return;
    KB_CHECK_EQ(dropped, history.candidates.size() + plan.added.size() - 1);
    plan.added.pop_back();
  }

  std::vector<size_t> parents(const History& history) const {
    std::vector<std::pair<double, size_t>> best;
    for (size_t c = 0; c < history.candidates.size(); ++c) {
      const Candidate& candidate = history.candidates[c];
      if (history.depth(c) == history.tasks() && options_.goal.limits.allow(candidate.cost) &&
          options_.rules->apply(candidate.bits) == candidate.bits)
        best.emplace_back(-score(options_.goal, history.known[c].back(), candidate.bits, candidate.cost), c);
    }
    std::sort(best.begin(), best.end());
    std::vector<size_t> parents;
    for (size_t i = 0; i < std::min(kParents, best.size()); ++i) parents.push_back(best[i].second);
    return parents;
  }

  /// As a Batch's: the largest of many measurements is too good to be true.
  Incumbent best_expected(const History& history, const Model& model) const {
    std::vector<Candidate> run;
    for (size_t c = 0; c < history.candidates.size(); ++c)
      if (history.depth(c) == history.tasks() && options_.goal.limits.allow(history.candidates[c].cost))
        run.push_back(history.candidates[c]);
    const gp::Posterior at_last = model.predict(run, history.last());
    Incumbent best;
    for (size_t r = 0; r < run.size(); ++r) {
      const double expected = score(options_.goal, at_last.mean[r], run[r].bits, run[r].cost);
      if (!best || expected > *best) best = expected;
    }
    return best;
  }

  /// Nothing where no neighbour can be better.
  std::optional<Candidate> best_neighbour(const History& history, const std::set<Bits>& planned) const {
    const std::vector<size_t> from = parents(history);
    if (from.empty()) return std::nullopt;
    std::vector<Candidate> steps;
    std::set<Bits> seen = planned;
    for (const size_t parent : from)
      for (const Bits& bits : neighbours(history.candidates[parent].bits, *options_.rules)) {
        if (!seen.insert(bits).second) continue;
        const size_t listed = find_candidate(history.candidates, bits);
        if (listed < history.candidates.size() && !history.may_run(listed, history.last())) continue;
        Candidate step = options_.make_candidate(bits);
        if (options_.goal.limits.allow(step.cost)) steps.push_back(std::move(step));
      }
    if (steps.empty()) return std::nullopt;
    StrategyOptions options = options_;
    options.model.inputs = std::isfinite(steps[0].log_error) ? Inputs::BitsAndError : Inputs::Bits;
    const Model model = fit_model(history, options.model, options.seed);
    const gp::Posterior at_last = model.predict(steps, history.last());
    const Incumbent incumbent = best_expected(history, model);
    std::optional<size_t> best;
    double most = -std::numeric_limits<double>::infinity();
    for (size_t s = 0; s < steps.size(); ++s) {
      const double gain = log_goal_improvement(options_.goal, steps[s], at_last.mean[s],
                                               std::sqrt(std::max(0.0, at_last.variance[s])), incumbent);
      if (gain > most) most = gain, best = s;
    }
    if (!best) return std::nullopt;
    return steps[*best];
  }

  std::unique_ptr<Strategy> curve_;
  StrategyOptions options_;
};

}  // namespace

std::vector<Bits> neighbours(const Bits& bits, const LayerRules& rules) {
  const std::vector<std::vector<size_t>> groups = rules.groups();
  std::vector<Bits> result;
  for (const std::vector<size_t>& group : groups)
    for (const int direction : {-1, 1}) {
      const std::optional<Bits> one = stepped(bits, group, direction, rules);
      if (!one) continue;
      result.push_back(*one);
      if (direction > 0) continue;
      for (const std::vector<size_t>& other : groups) {
        if (other == group) continue;
        if (const std::optional<Bits> swapped = stepped(*one, other, 1, rules)) result.push_back(*swapped);
      }
    }
  std::erase_if(result, [&](const Bits& list) { return rules.apply(list) != list; });
  return result;
}

std::unique_ptr<Strategy> make_refine(std::unique_ptr<Strategy> curve, const StrategyOptions& options) {
  return std::make_unique<Refine>(std::move(curve), options);
}

}  // namespace kronbit::search
