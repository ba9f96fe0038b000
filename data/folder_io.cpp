#include "data/folder_io.h"

#include <algorithm>

#include "tensor/base/error.h"
#include "tensor/io/file.h"
#include "tensor/io/limits.h"
#include "tensor/io/text.h"

namespace kronbit::data {
namespace fs = std::filesystem;
std::vector<std::string> list_folder(const fs::path& folder) {
  std::error_code failure;
  fs::directory_iterator entry(folder, failure);
  std::vector<std::string> names;
  for (; !failure && entry != fs::directory_iterator(); entry.increment(failure)) {
    std::string name = entry->path().filename().native();
    if (name.front() != '.') names.push_back(std::move(name));
  }
  if (failure) input_error(folder.native(), "cannot list the folder: {}", failure.message());
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> read_names(const fs::path& path) {
  const std::string text = read_text(path, int64_t{16} << 20);
  std::vector<std::string> names;
  for (const Line& line : split_lines(text)) {
    std::string_view name = line.text;
    if (name.ends_with('\r')) name.remove_suffix(1);
    if (!name.empty()) names.emplace_back(name);
  }
  if (names.empty() || std::ssize(names) > kMaxClasses) {
    input_error(path.native(), "wanted 1 to {} names, one per line, got {}", kMaxClasses, names.size());
  }
  return names;
}

void check_name(const std::string& name, const fs::path& where) {
  if (!is_utf8(name) || has_control_characters(name)) {
    input_error(where.native(), "class name: wanted UTF-8 text without control characters, got {}", quote(name));
  }
}

}  // namespace kronbit::data
