// A table of recorded trainings (data/tables/): what every configuration in it reached at every task. A search replayed
// on it (replay.h) takes milliseconds.
#pragma once

#include <filesystem>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "search/space.h"

namespace kronbit::search {

/// One training of a configuration: one number per task.
struct Training {
  int64_t seed = 0;
  std::vector<double> accuracy;  ///< on the validation images, as a search sees it
  std::vector<double> kl;        ///< mean divergence from the network before quantization, nats
  std::vector<double> test;      ///< accuracy on the test images, for the judge only
  std::vector<double> seconds;   ///< from the start of the training to the end of the task's evaluation
};

struct Recorded {
  int64_t id = 0;
  std::string kind;
  Bits bits;
  std::vector<double> w;  ///< of whatever curve drew it; empty: none did
  Cost cost;
  std::vector<Training> trainings;  ///< by rising seed; complete at all tasks
};

struct Table {
  std::map<std::string, std::string> head;  ///< of the lines `# key: value`
  std::vector<double> epochs;               ///< of the tasks, rising
  std::vector<Recorded> configurations;     ///< by rising id
  double test_images = 1.0;                 ///< that test accuracies are shares of
  size_t trainings() const;
  /// Median over all trainings: what reaching each task costs, in seconds. Bits do not change what a training costs,
  /// but what else a machine does while it records changes the seconds of single trainings a lot.
  std::vector<double> median_seconds() const;
};

/// Reads CSV with lines `# key: value` before the line of column names; columns are found by their names, others are
/// left alone. Trainings that lack a task up to `most_epochs`, or whose status is not ok, are left out.
/// Throws: InputError "[where line N] ..." for anything damaged.
Table parse_table(std::string_view text, std::string_view where,
                  double most_epochs = std::numeric_limits<double>::infinity());
Table read_table(const std::filesystem::path& path, double most_epochs = std::numeric_limits<double>::infinity());

}  // namespace kronbit::search
