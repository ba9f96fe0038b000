#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "tensor/base/error.h"
#include "tensor/io/file.h"
#include "tensor/io/text.h"

namespace kronbit {
namespace {

std::string shown(const std::filesystem::path& path) { return printable(path.native()); }

}  // namespace

AppendLog::AppendLog(std::filesystem::path path, Descriptor fd, int64_t size)
    : path_(std::move(path)), fd_(std::move(fd)), size_(size) {}

AppendLog AppendLog::create(const std::filesystem::path& path) {
  Descriptor fd(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (fd.get() < 0) input_error(shown(path), "cannot create: {}", std::strerror(errno));
  sync_folder(path.has_parent_path() ? path.parent_path() : std::filesystem::path("."));
  return AppendLog(path, std::move(fd), 0);
}

AppendLog AppendLog::resume(const std::filesystem::path& path, int64_t keep_bytes) {
  Descriptor fd(::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat status {};
  if (fd.get() < 0 || ::fstat(fd.get(), &status) != 0)
    input_error(shown(path), "cannot open: {}", std::strerror(errno));
  if (!S_ISREG(status.st_mode)) input_error(shown(path), "wanted a regular file");
  if (status.st_size < keep_bytes) {
    input_error(shown(path), "size: wanted at least {} bytes, got {}", keep_bytes,
                static_cast<int64_t>(status.st_size));
  }
  if (status.st_size > keep_bytes && (::ftruncate(fd.get(), keep_bytes) != 0 || ::fsync(fd.get()) != 0)) {
    throw Error(fmt::format("[{}] cannot cut off the torn end: {}", shown(path), std::strerror(errno)));
  }
  return AppendLog(path, std::move(fd), keep_bytes);
}

void AppendLog::append(std::string_view line) {
  KB_CHECK(line.find('\n') == std::string_view::npos);
  if (failed_) throw Error(fmt::format("[{}] cannot append: an earlier write failed", shown(path_)));
  const std::string whole = std::string(line) + "\n";
  ssize_t written = 0;
  do {
    written = ::write(fd_.get(), whole.data(), whole.size());
  } while (written < 0 && errno == EINTR);
  if (written == std::ssize(whole) && ::fdatasync(fd_.get()) == 0) {
    size_ += written;
    return;
  }
  const bool torn = written >= 0 && written < std::ssize(whole);
  const std::string cause =
      torn ? fmt::format("wanted {} bytes written, got {} (disk full?)", whole.size(), written) : std::strerror(errno);
  failed_ = true;
  const bool cut = ::ftruncate(fd_.get(), size_) == 0;
  throw Error(
      fmt::format("[{}] cannot append: {}{}", shown(path_), cause, cut ? "" : "; the torn line stays in the file"));
}

}  // namespace kronbit
