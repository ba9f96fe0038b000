// Whether a run may begin, or go on, in a folder: asked before anything is computed or written there.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "search/journal.h"

namespace kronbit::app {

/// The journal of `folder`, empty where there is none.
/// own: what a run makes in its folder, such as "best". Without the journal that they belong to they are somebody's:
/// neither gone on from nor replaced.
/// Throws: InputError when there is a run and `resume` is false, or no run but one of `own`: a file, or a folder that
/// holds something.
search::JournalContent known_journal(const std::filesystem::path& folder, bool resume,
                                     const std::vector<std::string>& own);

}  // namespace kronbit::app
