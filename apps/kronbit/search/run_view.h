// A search read back from its folder: rank, status and report begin here.
#pragma once

#include <filesystem>
#include <vector>

#include "apps/kronbit/search/search_space.h"
#include "search/state.h"

namespace kronbit::app {

/// A run folder read back, also while it is running.
struct RunView {
  std::filesystem::path folder;
  SearchSettings settings;
  SearchSpace space;
  std::vector<Json> lines;
  search::RunState state;
};
/// Throws: InputError when there is no search in `folder`.
RunView open_run(const std::filesystem::path& folder);

}  // namespace kronbit::app
