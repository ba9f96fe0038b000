#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <thread>

#include "tensor/base/error.h"
#include "tensor/io/file.h"
#include "tensor/io/text.h"

namespace kronbit {
namespace {

constexpr size_t kMaxHolderBytes = 400;

std::string ourselves() {
  char host[256] = "";
  if (::gethostname(host, sizeof(host) - 1) != 0) std::strcpy(host, "unknown");
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  return fmt::format("process {} on host {}, since {:%Y-%m-%dT%H:%M:%SZ}", ::getpid(), host, utc);
}

// What the holder wrote; it may be between taking the lock and writing.
std::string read_holder(int fd) {
  char text[kMaxHolderBytes];
  const ssize_t n = ::pread(fd, text, sizeof(text), 0);
  std::string_view holder(text, n > 0 ? static_cast<size_t>(n) : 0);
  holder = holder.substr(0, holder.find('\n'));
  return holder.empty() ? "a process that has just started" : printable(holder);
}

}  // namespace

FolderLock::FolderLock(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "lock";
  const std::string shown = printable(path.native());
  fd_ = Descriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW, 0666));
  if (fd_.get() < 0) input_error(shown, "cannot open: {}", std::strerror(errno));
  struct stat status {};
  if (::fstat(fd_.get(), &status) != 0 || !S_ISREG(status.st_mode)) input_error(shown, "wanted a regular file");

  // For a moment the lock is held by lock_holder() of another process, or by a child that a killed holder was just
  // starting, until that runs its own program: try again for a second.
  for (int attempt = 0; ::flock(fd_.get(), LOCK_EX | LOCK_NB) != 0; ++attempt) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) throw Error(fmt::format("[{}] cannot lock: {}", shown, std::strerror(errno)));
    if (attempt >= 50) {
      input_error(printable(folder.native()), "wanted a run folder that is free, got one in use by {}",
                  read_holder(fd_.get()));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  const std::string text = ourselves() + "\n";
  if (::ftruncate(fd_.get(), 0) != 0 || ::pwrite(fd_.get(), text.data(), text.size(), 0) != std::ssize(text)) {
    throw Error(fmt::format("[{}] cannot write: {}", shown, std::strerror(errno)));
  }
}

std::optional<std::string> lock_holder(const std::filesystem::path& folder) {
  const Descriptor fd(::open((folder / "lock").c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (fd.get() < 0) return std::nullopt;
  if (::flock(fd.get(), LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK) return std::nullopt;  // freed by closing
  return read_holder(fd.get());
}

}  // namespace kronbit
