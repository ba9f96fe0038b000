// What a search knows: the candidates, what was planned and what came back, in order. Strategies read it and nothing
// else, so a search that is replayed from its journal decides as the first time.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "gp/fit.h"
#include "search/space.h"

namespace kronbit::search {

/// Why a run was planned.
enum class Reason { Try, Design, Information, Target, Strategy, Refine };
std::string_view name_of(Reason reason);
/// Throws: InputError naming `where`.
Reason parse_reason(std::string_view text, std::string_view where);

/// One training to plan or already planned; it passes the tasks 0..task, and each gives an observation.
struct PlannedRun {
  int64_t index = 0;  ///< 0, 1, ... over the whole search
  size_t candidate = 0;
  int task = 0;
  Reason reason = Reason::Design;
  double information =
      0.0;  ///< nats about what the strategy asks for: the last task, or the highest score in it; 0: none
};

/// The runs of one round, and how the model they rest on was fitted.
struct Plan {
  int64_t round = 0;
  std::vector<PlannedRun> runs;
  std::vector<Candidate> added;  ///< candidates the runs need that were not there: the next indices, in order
  bool fitted = false;           ///< false where no model was asked
  gp::FitReport fit;
  bool logit_warp = false;
  gp::Hyperparameters hyperparameters;
};

/// A run that has ended.
struct Told {
  PlannedRun run;
  bool ok = false;  ///< false: it failed for good
};

struct History {
  std::vector<Candidate> candidates;
  std::vector<size_t> tries;               ///< run first, at the last task
  std::vector<double> costs;               ///< lambda of each task, ascending
  std::vector<std::vector<double>> known;  ///< per candidate: accuracies of the tasks 0, 1, ... up to the highest run
  /// Per candidate, of the same tasks: mean divergence KL(float || quantized) over the validation images, nats; none
  /// where it was not told.
  std::vector<std::vector<double>> divergences;
  std::vector<bool> dropped;     ///< per candidate: a run of it failed for good
  std::vector<Told> told;        ///< all runs that have ended, in the order of their indices
  int64_t rounds = 0, runs = 0;  ///< begun, planned

  int tasks() const { return static_cast<int>(costs.size()); }
  int last() const { return tasks() - 1; }
  /// Tasks known of a candidate.
  int depth(size_t candidate) const { return static_cast<int>(known[candidate].size()); }
  /// Nothing failed, and the task tells something new. Tries are spoken for until the first round is over.
  bool may_run(size_t candidate, int task) const {
    return !dropped[candidate] && depth(candidate) <= task && !(rounds == 0 && is_try(candidate));
  }
  bool is_try(size_t candidate) const;
  /// A run has ended well.
  bool anything_known() const;
};

}  // namespace kronbit::search
