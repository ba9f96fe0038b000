// Places for the files of tests.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "tensor/base/error.h"

namespace kronbit {

/// A new folder, removed at its end by the process that made it; in memory where the system has such a place, because
/// much of what is tested syncs every line that it writes.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    const std::filesystem::path memory = "/dev/shm";
    std::string name = ((::access(memory.c_str(), W_OK) == 0 ? memory : std::filesystem::temp_directory_path()) /
                        "kronbit-test-XXXXXX")
                           .native();
    if (::mkdtemp(name.data()) == nullptr) throw Error("cannot make a temporary folder");
    path_ = name;
    std::filesystem::permissions(path_, std::filesystem::perms(0755));  // some tests lay root's rights down
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    if (::getpid() == owner_) std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  /// Writes a file (and the folders above it) and returns its path.
  std::filesystem::path write(const std::string& name, const std::string& bytes) const {
    const std::filesystem::path path = path_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }

 private:
  pid_t owner_ = ::getpid();
  std::filesystem::path path_;
};

/// Where the real data is that some tests need: KRONBIT_DATA or ~/.cache/kronbit, followed by `name`.
inline std::filesystem::path real_data(const std::string& name) {
  const char* folder = std::getenv("KRONBIT_DATA");
  const char* home = std::getenv("HOME");
  return (folder ? std::filesystem::path(folder) : std::filesystem::path(home ? home : "/") / ".cache/kronbit") / name;
}

}  // namespace kronbit
