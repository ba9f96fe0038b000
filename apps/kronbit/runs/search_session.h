// A search from its first evaluation to its report: the run folder, the evaluations as processes, best/ at every
// improvement, the final trainings.
#pragma once

#include <optional>
#include <string>

#include "apps/kronbit/runs/replicates.h"
#include "apps/kronbit/search/finals.h"
#include "apps/kronbit/search/search_options.h"
#include "apps/kronbit/workers/job_pool.h"

namespace kronbit::app {

/// Throws: InputError naming the option for workers, a launcher, a deadline or final trainings that make no sense, or for
/// a path that evaluations could not be told.
void check_search(const SearchOptions& options);

/// What the options say of workers, without numerics, and of final trainings. Throws: InputError naming the option.
PoolOptions pool_options(const SearchOptions& options);
FinalOptions final_options(const SearchOptions& options);

struct SearchEnd {
  int code = 0;                         ///< for exit: 0, or stop_exit_code() when it stopped early
  std::optional<Outcome> outcome = {};  ///< nothing before the first result
};
/// Begins the search in options.out, or goes on with it. settings: those of the options, with what the files told.
/// alone: not one of several, whose --json would be a line too many. Throws: as search::SearchRun; Error
/// when a final training failed, after everything else is written: InputError where a wrong input was the reason.
SearchEnd run_search(const Frame& frame, const SearchOptions& options, SearchSettings settings, bool alone = true);

}  // namespace kronbit::app
