// Tables 1 and 2 are the same experiment with another curve: for every network the floating point baseline, a search,
// then the paper's rows and our best at the sizes of the paper's found rows, each fine-tuned and tested.
#pragma once

#include <string>
#include <vector>

#include "apps/experiments/common/experiment.h"
#include "apps/experiments/common/paper.h"
#include "apps/experiments/common/runs.h"

namespace kronbit::experiments {

struct TableSpec {
  std::string title;
  std::string curve;  ///< of the searches, as after --curve
  const std::vector<PaperNetwork>* paper = nullptr;
  std::vector<size_t> found_rows;  ///< indices of the paper's rows that its search found
  /// Rows that are also measured with the quantizer of the paper's text (paper-floor), one seed, on these networks.
  std::vector<size_t> text_mode_rows = {};
  std::vector<std::string> text_mode_nets = {};
  std::vector<std::string> quick_nets;  ///< those of the quick preset, where --net names no others
};

/// Runs and collects. JSON: {"experiment", "preset", "data", "networks": [{"net", "fp32", "paper_fp32", "search",
/// "rows": [{"origin": "paper", "uniform", "ours" or "allocated", "label", bits, estimate, top1, sizes,
/// "paper": {...}}], "text_mode": [...]}]}.
Results network_table(Experiment& experiment, const TableSpec& spec);

}  // namespace kronbit::experiments
