// What a search takes of time and disk on a machine on which an evaluation has been tried.
#pragma once

#include <vector>

#include "apps/kronbit/evaluation/trial.h"
#include "apps/kronbit/search/finals.h"
#include "apps/kronbit/search/rehearsal.h"
#include "apps/kronbit/search/search_space.h"

namespace kronbit::app {

/// The job that is tried: the configuration of most bytes, through all tasks and the final fine-tuning; `job` is every
/// evaluation of the search.
Job trial_job(Job job, const SearchSpace& space, const FinalOptions& finals);

/// Seconds of a run to each task: its start, training and an evaluation at each task that it passes, packing.
/// trial: of trial_job().
std::vector<double> task_seconds(const Trial& trial, const SearchSpace& space, int64_t validation_images);

struct Estimate {
  std::vector<double> task_seconds;
  Rehearsal search;
  int finals = 0;                ///< trainings, at most
  double final_seconds = 0;      ///< of each, with its test
  double reference_seconds = 0;  ///< of the answers before quantization, once
  double seconds = 0;            ///< of all of it
  int64_t disk_bytes = 0;        ///< that the run folder has at most
};
/// workers: evaluations at the same time, as when the trial was made.
Estimate estimate(const Trial& trial, const SearchSpace& space, const SearchSettings& settings,
                  const search::Budget& budget, const FinalOptions& finals, int workers);

}  // namespace kronbit::app
