#include "apps/kronbit/search/estimate.h"

#include <algorithm>
#include <cmath>

#include "apps/kronbit/evaluation/reference.h"

namespace kronbit::app {
namespace {

// Of a search of 30 evaluations: 0.9 KB of journal for each, 430 KB of report and 1 KB of bits.json.
constexpr double kJournalPerEvaluation = 1000, kReport = 500'000;
constexpr int kFinalsBeside = 3;  // the best measured, the uniform and the reversed one

double batches(int64_t images) { return static_cast<double>(images) / kImagesAtOnce; }

/// Most packed networks at the same time: that of best/, the one it was made from and a copy on its way; in work/ either
/// what the workers have just left and what waits for its turn in the journal, or those of final trainings, which stay.
double most_files(const SearchSpace& space, int finals, int workers) {
  const int waiting = workers + space.explorer.strategy.round + static_cast<int>(space.tries.size());
  return 3.0 + std::max(waiting, finals);
}

}  // namespace

Job trial_job(Job job, const SearchSpace& space, const FinalOptions& finals) {
  const auto by_bytes = [](const search::Candidate& a, const search::Candidate& b) {
    return a.cost.bytes < b.cost.bytes;
  };
  job.layers = std::max_element(space.candidates.begin(), space.candidates.end(), by_bytes)->bits;
  job.epochs = space.epochs;
  job.epochs.push_back(finals.epochs > 0 ? finals.epochs : space.epochs.back());
  return job;
}

std::vector<double> task_seconds(const Trial& trial, const SearchSpace& space, int64_t validation_images) {
  std::vector<double> seconds;
  const double measuring = trial.evaluation.seconds(batches(validation_images));
  for (size_t t = 0; t < space.epochs.size(); ++t) {
    const auto steps = static_cast<double>(trial.steps[t]);
    seconds.push_back(trial.start + trial.step.seconds(steps) + static_cast<double>(t + 1) * measuring + trial.pack);
  }
  return seconds;
}

Estimate estimate(const Trial& trial, const SearchSpace& space, const SearchSettings& settings,
                  const search::Budget& budget, const FinalOptions& finals, int workers) {
  Estimate e;
  e.task_seconds = task_seconds(trial, space, settings.validation_images);
  e.search = rehearse(space, budget, e.task_seconds, workers);
  e.reference_seconds = trial.reference.seconds(batches(settings.validation_images));
  if (finals.top > 0) e.finals = (finals.top + kFinalsBeside) * finals.seeds;
  const double measuring = trial.evaluation.seconds(batches(settings.validation_images));
  const double testing = trial.evaluation.seconds(batches(settings.test_images));
  e.final_seconds = trial.start + e.reference_seconds + trial.step.seconds(static_cast<double>(trial.steps.back())) +
                    measuring + testing + trial.pack;
  // What the weights themselves reach, on all threads: validation images before the search, test images after it.
  double weights = measuring / workers;
  if (e.finals > 0) weights += testing / workers;
  e.seconds = weights + e.reference_seconds + e.search.seconds +
              std::ceil(static_cast<double>(e.finals) / workers) * e.final_seconds;

  const double file = static_cast<double>(trial.file_bytes);  // of the largest candidate
  const double answers = 4.0 * static_cast<double>(settings.validation_images) * settings.classes;
  const double journal = static_cast<double>(dump_line(to_json(settings)).size()) +
                         kJournalPerEvaluation * (e.search.evaluations() + e.finals);
  e.disk_bytes = static_cast<int64_t>(most_files(space, e.finals, workers) * file + answers + journal + kReport);
  return e;
}

}  // namespace kronbit::app
