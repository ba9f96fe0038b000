// What to run next. A strategy is a pure function of the history: same history, options and machine, same plan; not of
// time, or of how many workers there are. So every strategy can be interrupted, resumed and replayed from a table.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "search/goal.h"
#include "search/history.h"
#include "search/model.h"

namespace kronbit::search {

struct StrategyOptions {
  std::string name = "kronbit";  ///< one of strategies()
  int round = 4;        ///< runs planned together; a model is refitted after each round. Not a number of workers
  int target_runs = 1;  ///< of each round of "information": where the goal may be reached best; 0 = the paper's
  Goal goal;            ///< what is wanted at the last task
  ModelOptions model;
  uint64_t seed = 0;
  /// A configuration that is not among the candidates, for strategies that leave the list. Empty: none may; whoever
  /// wants one gets the nearest of the list that was not run.
  std::function<Candidate(const Bits&)> make_candidate;
  bool refine = false;              ///< leave the curve: see strategies/refine.h; not where StrategyInfo::counts
  std::optional<LayerRules> rules;  ///< what a configuration outside the list keeps to; none: any bits
};

class Strategy {
 public:
  virtual ~Strategy() = default;
  /// The next round: runs with their candidate, task and reason (index and round are filled in by the explorer). Every
  /// run must satisfy history.may_run(), with no candidate twice. Empty when nothing is left to run.
  /// Throws: NumericalError when a model cannot be fitted.
  virtual Plan plan(const History& history) const = 0;
};

/// Throws: InputError for a name that is not among strategies(), or options out of range.
std::unique_ptr<Strategy> make_strategy(const StrategyOptions& options);

struct StrategyInfo {
  std::string_view name;
  std::string_view what;  ///< one line
  bool needs_bits;        ///< wants bit lists, sizes or sensitivities; the others make do with places
  std::unique_ptr<Strategy> (*make)(const StrategyOptions& options);
  bool counts = false;  ///< finds its place by counting its own runs: no others between them, so no refine
};
/// In the order they are listed to users.
const std::vector<StrategyInfo>& strategies();

/// Candidates nearest to the first points of a space-filling sequence shifted by the seed, in their curve weights: the
/// initial design of strategies that fit a model. 2 (d + 1) points, d the number of weights: every third, from the
/// first on, at the last task, the others at task 0; with `all_last` d + 2, all at the last task, where each is dear.
/// Candidates outside the limits of the goal are left out.
std::vector<PlannedRun> space_filling_design(const History& history, const StrategyOptions& options,
                                             bool all_last = false);

}  // namespace kronbit::search
