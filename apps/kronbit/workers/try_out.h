// An evaluation is tried before a search: what it takes of time and memory, with as many at the same time as the search
// will have.
#pragma once

#include <cstdint>
#include <string>

#include "apps/kronbit/evaluation/trial.h"
#include "apps/kronbit/workers/job_pool.h"

namespace kronbit::app {

/// Throws: InputError with what to change, unless `workers` evaluations of `peak_bytes` each fit into `available_bytes`;
/// batch: what --batch says.
void check_memory(int64_t peak_bytes, int64_t available_bytes, int workers, const std::string& batch);

/// Tries `job` in processes of `pool`: once, and if as many as it has workers fit in memory, all of them at once; behind
/// a launcher, which places them on machines of its own, one alone. Times are means over those at once.
/// Throws: InputError when the memory does not suffice, with what to change; Error when the trial fails.
Trial try_out(Job job, const PoolOptions& pool);

}  // namespace kronbit::app
