#include "tensor/available_memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>

namespace kronbit {
namespace {

constexpr int64_t kUnknown = std::numeric_limits<int64_t>::max();

/// How a version of control groups names its files.
struct Names {
  const char *limit, *usage, *idle_files;
};
constexpr Names kFirst = {"/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_inactive_file"};
constexpr Names kSecond = {"/memory.max", "/memory.current", "inactive_file"};

/// The number that a file begins with; none where there is no file, or it says "max".
std::optional<int64_t> number_in(const std::string& path) {
  std::ifstream file(path);
  int64_t number = 0;
  if (file >> number) return number;
  return std::nullopt;
}

/// The number behind a word at the beginning of a line.
std::optional<int64_t> number_behind(const std::string& path, const std::string& word) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string first;
    int64_t number = 0;
    if (words >> first >> number && first == word) return number;
  }
  return std::nullopt;
}

/// The least that is left in `group` and those above it. group: "/a/b"; "" or "/" is the root.
int64_t left_in(const std::string& root, std::string group, const Names& names) {
  for (int64_t least = kUnknown;; group.resize(group.rfind('/'))) {
    if (group == "/") group.clear();
    const std::string folder = root + group;
    const std::optional<int64_t> limit = number_in(folder + names.limit), usage = number_in(folder + names.usage);
    if (limit && usage) {
      const int64_t idle = number_behind(folder + "/memory.stat", names.idle_files).value_or(0);
      least = std::min(least, std::max<int64_t>(0, *limit - (*usage - std::min(idle, *usage))));
    }
    if (group.empty()) return least;
  }
}

bool has_word(const std::string& list, const std::string& word) {
  return ("," + list + ",").find("," + word + ",") != std::string::npos;
}

}  // namespace

int64_t available_memory(const std::string& proc, const std::string& groups) {
  int64_t least = kUnknown;
  if (const auto kilobytes = number_behind(proc + "/meminfo", "MemAvailable:")) least = *kilobytes * 1024;
  std::ifstream own(proc + "/self/cgroup");  // lines "NUMBER:CONTROLLERS:GROUP"
  for (std::string line; std::getline(own, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos || second + 1 >= line.size() || line[second + 1] != '/') continue;
    const std::string controllers = line.substr(first + 1, second - first - 1), group = line.substr(second + 1);
    if (controllers.empty()) least = std::min(least, left_in(groups, group, kSecond));
    if (has_word(controllers, "memory")) least = std::min(least, left_in(groups + "/memory", group, kFirst));
  }
  return least;
}

}  // namespace kronbit
