// report.html of a run folder: one self-contained page that answers the question by looking.
#pragma once

#include <filesystem>

namespace kronbit::app {

/// Writes RUN/report.html from the journal alone (search, train or finetune; also while it runs). Without gnuplot the
/// page has its tables only, and says so. Throws: InputError when there is no run in the folder.
void write_report(const std::filesystem::path& run);

}  // namespace kronbit::app
