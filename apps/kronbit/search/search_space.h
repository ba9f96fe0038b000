// From the settings of a search to what it explores: candidates, their costs, baselines and the explorer's options.
#pragma once

#include <vector>

#include "apps/kronbit/search/settings.h"
#include "nn/layers.h"
#include "search/allocation.h"
#include "search/explorer.h"
#include "search/goal.h"
#include "search/space.h"

namespace kronbit::app {

/// The search space and how it is explored, as the settings define them.
struct SearchSpace {
  nn::Network net;  ///< without weights
  std::vector<nn::ConvInfo> layers;
  search::Curve curve;
  std::vector<double> epochs = {}, costs = {};  ///< of each task; costs in forward passes unless the user gave others
  search::CostOf cost_of = {};
  search::ErrorTable errors = {};  ///< empty: not measured
  search::Limits limits = {};
  search::Goal goal = {};
  std::vector<search::Candidate> candidates = {};
  std::vector<size_t> tries = {};
  search::ExplorerOptions explorer = {};

  /// The candidate of these bits; one made for them where there is none.
  search::Candidate configuration(const Bits& bits) const;
};
/// Candidates: the curve; where errors are known, the allocations at the limits, those one step or swap from them, and
/// those for every smaller size where the front of size and error bends; baselines and tries. All keep to the rules.
/// Throws: InputError for anything that does not fit together.
SearchSpace make_space(const SearchSettings& settings);

}  // namespace kronbit::app
