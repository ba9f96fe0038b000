// A search played through before it runs: the strategy plans, and made-up accuracies answer it. So it is known how many
// runs go to which task and how long that takes; which configurations they are means nothing.
#pragma once

#include <vector>

#include "apps/kronbit/search/search_space.h"
#include "search/state.h"

namespace kronbit::app {

struct Rehearsal {
  std::vector<double> runs;  ///< to each task; whole numbers where all of the budget was played through
  double seconds = 0;        ///< from first to last evaluation, on all workers, with what planning took
  double evaluations() const;
};

/// task_seconds: of a run to each task. Rounds are planned for a few seconds at most; what is left of the budget then is
/// taken to be like the rounds after the first.
Rehearsal rehearse(const SearchSpace& space, const search::Budget& budget, const std::vector<double>& task_seconds,
                   int workers);

}  // namespace kronbit::app
