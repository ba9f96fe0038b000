#include "apps/kronbit/runs/run_folder.h"

#include <set>

#include "tensor/base/error.h"
#include "tensor/io/text.h"

namespace kronbit::app {
namespace {

/// What is there of `name`: the file, or the first by name in the folder; "" when there is nothing.
std::string leftover(const std::filesystem::path& folder, const std::string& name) {
  if (!std::filesystem::is_directory(folder / name)) return std::filesystem::exists(folder / name) ? name : "";
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder / name))
    names.insert(entry.path().filename().string());
  return names.empty() ? "" : name + "/" + *names.begin();
}

}  // namespace

search::JournalContent known_journal(const std::filesystem::path& folder, bool resume,
                                     const std::vector<std::string>& own) {
  search::JournalContent content = search::read_journal(folder);
  const std::string shown = printable(folder.string());
  if (!content.lines.empty() && !resume)
    input_error("--out", "{} holds a run already: add --resume to go on with it, or choose another folder", shown);
  if (!content.lines.empty()) return content;
  for (const std::string& name : own) {
    if (const std::string found = leftover(folder, name); !found.empty())
      input_error("--out", "{} holds {} but no journal: choose another folder or remove it", shown, printable(found));
  }
  return content;
}

}  // namespace kronbit::app
