// The options of kronbit search: from the command line, and from a run that is gone on with or repeated.
#pragma once

#include <string>
#include <vector>

#include "apps/kronbit/search/settings.h"

namespace kronbit::app {

struct SearchOptions {
  SearchSettings settings;
  std::string budget = "40evals", workers = "1", launch, deadline = "auto", out, final_top = "3", final_epochs,
              final_schedule = "cosine", final_seeds = "1", replicates = "1", time_limit;
  bool resume = false, dry_run = false;
  std::string kernel;  ///< forced by --kernel, a Frame's option; "" = none
};
void add_search_options(CLI::App* command, SearchOptions& options);

/// What a journal keeps of the options beside its settings: they may be others on resume. With made_by().
Json notes_of(const SearchOptions& options);

/// The options that a run was begun with, or last gone on with. Workers, launcher and deadline belong to a machine, not to
/// a run: they are as usual; so are the final trainings of a journal from before they were noted, unless it has some.
/// lines: the journal in `folder`, not empty. Throws: InputError, also for a training.
SearchOptions options_of_run(const std::vector<Json>& lines, const std::string& folder);

/// `began_with`, but for the options that were given to `command`.
SearchOptions given_over(const CLI::App& command, SearchOptions began_with);

/// The command that makes this search in the folder options.out: every option that is not as usual.
std::string command_text(const SearchOptions& options);
/// The command that makes the search again whose journal these lines are, in the folder FOLDER-again.
/// Throws: InputError, also for a training.
std::string command_of_run(const std::vector<Json>& lines, const std::string& folder);
/// Why that command, begun now, would not give the same evaluations, a sentence each; mostly none.
std::vector<std::string> doubts_of_command(const std::vector<Json>& lines, const std::string& folder);

}  // namespace kronbit::app
