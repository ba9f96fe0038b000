#include "apps/kronbit/search/run_view.h"

#include "search/journal.h"
#include "search/run.h"

namespace kronbit::app {

RunView open_run(const std::filesystem::path& folder) {
  const search::JournalContent content = search::read_journal(folder);
  if (content.lines.empty()) input_error(folder.string(), "wanted the folder of a search, found no journal in it");
  const std::string where = (folder / search::kJournalName).string();
  SearchSettings settings = settings_from_json(settings_of_search(content.lines, folder.string()), where);
  SearchSpace space = make_space(settings);
  search::RunState state =
      search::read_state(content, search::Explorer(space.candidates, space.tries, space.explorer), space.epochs);
  space.candidates = state.explorer().candidates();  // those added on the way too
  return {folder, std::move(settings), std::move(space), content.lines, std::move(state)};
}

}  // namespace kronbit::app
