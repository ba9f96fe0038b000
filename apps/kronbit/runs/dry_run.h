// What a search would do and what it would take, before it does anything: --dry-run.
#pragma once

#include "apps/kronbit/evaluation/trial.h"
#include "apps/kronbit/runs/search_session.h"
#include "apps/kronbit/search/search_space.h"

namespace kronbit::app {

/// Prints space, costs and first round, then what the search takes on this machine: seconds of each task and of the
/// whole, memory and disk. trial: of trial_job(). examining: seconds that sensitivities and data took, as they will
/// again.
void print_plan(const Frame& frame, const SearchOptions& options, const SearchSettings& settings, const Trial& trial,
                double examining);

}  // namespace kronbit::app
