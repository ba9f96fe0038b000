// How much the answer of a search depends on its seed.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "apps/kronbit/command.h"
#include "tensor/bits.h"

namespace kronbit::app {

/// What a search ended with: the configuration in best/.
struct Outcome {
  Bits bits;
  double bytes = 0, validation = 0, score = 0;
  std::optional<double> top1;  ///< on test images, where there are finals
};

/// Prints what every search ended with and its mean and standard deviation, and leaves the same in OUT/replicates.json.
void report_spread(const Frame& frame, const std::vector<Outcome>& outcomes, const std::filesystem::path& out);

}  // namespace kronbit::app
