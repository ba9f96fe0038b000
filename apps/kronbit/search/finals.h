// After the search: the best configurations are fine-tuned and read the test split, once, next to what they must beat.
// The result is the paper's Table 1 for this network.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/kronbit/search/search_space.h"
#include "search/state.h"

namespace kronbit::app {

struct FinalOptions {
  int top = 3;        ///< configurations of the ranking
  double epochs = 0;  ///< of fine-tuning; 0: those of the last task
  std::string schedule = "cosine";
  int seeds = 1;  ///< trainings of each, with different seeds
};

struct FinalTuning {
  double epochs = 0;
  std::string schedule;
  bool operator==(const FinalTuning&) const = default;
};
/// Of a line of the journal; before schedules were written down, what it is unless told.
FinalTuning tuning_of(const Json& line);

/// One row: a configuration, what the model said before and what the test split said after.
struct FinalRow {
  std::string kind;  ///< "best 1", "measured", "uniform", "reversed"
  Bits bits = {};
  double estimate = 0, sd = 0;                     ///< of the model, at the last task
  std::vector<int> seeds = {};                     ///< of the trainings that have finished
  std::vector<double> validation = {}, top1 = {};  ///< one per seed
  search::Cost cost = {};
  bool found() const;            ///< by the search: not one to compare with
  size_t best_training() const;  ///< which of them has the highest validation accuracy. Requires: one
  double mean_validation() const, mean_top1() const;  ///< over seeds; 0 with none
  double sd_top1() const;                             ///< between seeds; 0 with fewer than two
  /// Standard deviation of mean_top1(): over seeds, and of drawing so many test images.
  /// Formula:  sqrt(sd_seeds^2 / n_seeds + p (1 - p) / images)
  double doubt(int64_t images) const;
};

/// The table of a run: what the last choice of configurations, number of epochs and schedule gave, as soon as one of
/// those that the search found is trained.
struct Finals {
  std::vector<FinalRow> rows;
  FinalTuning tuning;               ///< of every training
  std::optional<double> fp32_top1;  ///< of the weights the search started from, on the same test images
  int64_t images = 0;               ///< test images
  /// nullptr when there is none. The champion is in best/: among those found, the highest score of the mean
  /// validation accuracy of its trainings.
  const FinalRow* find(const std::string& kind) const;
  const FinalRow* champion(const SearchSpace& space) const;
};

/// Which configurations come in: the first of the ranking; the incumbent, the best that the search itself has measured,
/// unless it is among them; then the uniform and the reversed one of the first's size.
std::vector<FinalRow> choose_finals(const SearchSpace& space, const search::RunState& state,
                                    const FinalOptions& options);

/// The table in a journal, in the order of the choice.
Finals read_finals(const std::vector<Json>& lines, const SearchSpace& space);

/// Attempts at final trainings of the last choice that failed and have no result after them, oldest first: lines
/// "final_failed" of the journal.
std::vector<Json> open_failures(const std::vector<Json>& lines);
/// How many trainings these are: configurations times seeds.
int64_t failed_trainings(const std::vector<Json>& failures);

/// Whether an answer reaches the accuracy that was wished for (validation images); null where none was.
Json wish_met(const search::Goal& goal, double validation);
/// "wanted at least 90.00 % on validation images; nothing reached it, this is the nearest"; "" for an answer that does,
/// and where nothing was wished for.
std::string unmet_wish(const search::Goal& goal, double validation);

/// The table as text: configuration, estimate, mean top-1, sd, delta, bits, megabytes, milliseconds where known.
std::string format_finals(const Finals& finals);
/// Does the champion beat the uniform configuration? A sentence without its subject; "" without both.
std::string final_verdict(const Finals& finals, const SearchSpace& space);

}  // namespace kronbit::app
