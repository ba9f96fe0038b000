// The trainings that the table of finals asks for, and what they leave: the champion in best/.
#pragma once

#include <filesystem>
#include <string>

#include "apps/kronbit/search/finals.h"
#include "apps/kronbit/workers/job_pool.h"
#include "search/run.h"

namespace kronbit::app {

/// How the final trainings ended.
struct FinalsEnd {
  bool stopped = false;      ///< early, by a signal or the time limit
  std::string problem = {};  ///< one line on those that failed and left no row; "" when none did
  int64_t peak_bytes = 0;    ///< JobPool::peak_bytes()
  bool input = false;        ///< the problem is a wrong input, such as a damaged picture
};

/// Trains and tests what is missing in the journal of `run`, on the pool of `pool`, and leaves the champion in best/.
/// One training serves all rows of the same bits. One that fails for the third time leaves the others their rows; only
/// when it was refused no further one begins. A wrong input is such a refusal, at the first failure.
FinalsEnd run_finals(search::SearchRun& run, const SearchSettings& settings, const SearchSpace& space,
                     const Frame& frame, const FinalOptions& options, const PoolOptions& pool);

/// Makes best/ of the champion, if its packed network is still there. False when the run has no champion.
bool publish_champion(const search::SearchRun& run, const SearchSpace& space);

/// Where a final training leaves its packed network.
std::filesystem::path final_path(const std::filesystem::path& run, const Bits& bits, int seed,
                                 const FinalTuning& tuning);
/// Removes from work/ of a run that has ended what its evaluations left, and work/ itself where that was all. What final
/// trainings left stays: a longer search may make any of them the champion.
void clear_work(const std::filesystem::path& run);

}  // namespace kronbit::app
