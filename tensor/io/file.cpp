#include "tensor/io/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>

#include "tensor/base/error.h"
#include "tensor/io/text.h"
#include "tensor/memory.h"

namespace kronbit {
namespace {

std::string shown(const std::filesystem::path& path) { return printable(path.native()); }

const char* kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a folder";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

// The whole file into memory that room(size) provides.
template <class Room>
void read_whole(const std::filesystem::path& path, int64_t max_bytes, const Room& room) {
  const Descriptor fd = open_regular(path);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0)
    throw Error(fmt::format("[{}] cannot read: {}", shown(path), std::strerror(errno)));
  if (status.st_size > max_bytes) {
    input_error(shown(path), "wanted at most {} bytes, got {}", max_bytes, static_cast<int64_t>(status.st_size));
  }
  const auto size = static_cast<size_t>(status.st_size);
  auto* const content = reinterpret_cast<std::byte*>(room(size));
  size_t have = 0;
  for (;;) {
    std::byte beyond[1];
    const bool full = have == size;  // one more byte is asked for: there must be none
    const ssize_t n = ::read(fd.get(), full ? beyond : content + have, full ? 1 : size - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw Error(fmt::format("[{}] cannot read: {}", shown(path), std::strerror(errno)));
    if ((n == 0) != full) {
      input_error(shown(path), "size: wanted {} bytes, got {}", size, full ? "more" : std::to_string(have));
    }
    if (n == 0) return;
    have += static_cast<size_t>(n);
  }
}

// Removes a temporary file unless it was renamed into place.
class Temporary {
 public:
  explicit Temporary(std::filesystem::path path) : path_(std::move(path)) {}
  ~Temporary() {
    if (!kept_) ::unlink(path_.c_str());
  }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  const std::filesystem::path& path() const { return path_; }
  void keep() { kept_ = true; }

 private:
  std::filesystem::path path_;
  bool kept_ = false;
};

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

// Whether `name` is one of publish()'s: ".NAME.tmp-DIGITS".
bool is_temporary(const std::string& name) {
  const size_t mark = name.rfind(".tmp-");
  if (!name.starts_with('.') || mark == std::string::npos || mark == 0 || mark + 5 == name.size()) return false;
  return name.find_first_not_of("0123456789", mark + 5) == std::string::npos;
}

void write_all(int fd, std::span<const std::byte> bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw Error(fmt::format("[{}] cannot write: {}", shown(path), std::strerror(errno)));
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
}

}  // namespace

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

Descriptor::~Descriptor() { close(); }

int Descriptor::close() {
  const int fd = std::exchange(fd_, -1);
  return fd >= 0 && ::close(fd) != 0 ? errno : 0;
}

void open_standard_streams() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (::fcntl(fd, F_GETFD) == -1 && errno == EBADF && ::open("/dev/null", O_RDWR) != fd) {
      throw Error(fmt::format("[/dev/null] cannot open: {}", std::strerror(errno)));
    }
  }
}

Descriptor open_regular(const std::filesystem::path& path) {
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (fd.get() < 0) input_error(shown(path), "cannot open: {}", std::strerror(errno));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) input_error(shown(path), "cannot open: {}", std::strerror(errno));
  if (!S_ISREG(status.st_mode)) input_error(shown(path), "wanted a regular file, got {}", kind_of(status.st_mode));
  return fd;
}

std::vector<std::byte> read_file(const std::filesystem::path& path, int64_t max_bytes) {
  std::vector<std::byte> content;
  read_whole(path, max_bytes, [&](size_t size) {
    content.resize(size);
    return content.data();
  });
  return content;
}

std::string read_text(const std::filesystem::path& path, int64_t max_bytes) {
  std::string content;
  read_whole(path, max_bytes, [&](size_t size) {
    content.resize(size);
    return content.data();
  });
  return content;
}

FileBytes read_bytes(const std::filesystem::path& path, int64_t max_bytes) {
  FileBytes content;
  read_whole(path, max_bytes, [&](size_t size) {
    const auto memory = std::static_pointer_cast<std::byte>(allocate(size));
    content = {memory, size};
    return memory.get();
  });
  return content;
}

void publish(const std::filesystem::path& path, const std::vector<std::span<const std::byte>>& parts) {
  if (!path.has_filename()) input_error(shown(path), "wanted a file name, got a folder");
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode))  // /dev/null would become a file
    input_error(shown(path), "wanted a file name, got {}", kind_of(status.st_mode));
  const std::filesystem::path folder = folder_of(path);
  // Processes of other machines, which may have our number, write the same file at the same moment.
  Temporary temporary(folder /
                      fmt::format(".{}.tmp-{}{:010}", path.filename().native(), ::getpid(), std::random_device{}()));
  Descriptor fd(::open(temporary.path().c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666));
  if (fd.get() < 0) input_error(shown(path), "cannot write: {}", std::strerror(errno));
  for (std::span<const std::byte> part : parts) write_all(fd.get(), part, path);
  if (::fsync(fd.get()) != 0) throw Error(fmt::format("[{}] cannot write: {}", shown(path), std::strerror(errno)));
  if (const int error = fd.close())
    throw Error(fmt::format("[{}] cannot write: {}", shown(path), std::strerror(error)));
  if (::rename(temporary.path().c_str(), path.c_str()) != 0) {
    throw Error(fmt::format("[{}] cannot rename into place: {}", shown(path), std::strerror(errno)));
  }
  temporary.keep();
  sync_folder(folder);
}

void publish(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  publish(path, std::vector<std::span<const std::byte>>{bytes});
}

void publish(const std::filesystem::path& path, std::string_view text) {
  publish(path, std::as_bytes(std::span(text)));
}

void make_folder(const std::filesystem::path& path) {
  if (path.empty()) input_error("folder", "wanted a path, got \"\"");
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) {
    if (!S_ISDIR(status.st_mode)) input_error(shown(path), "wanted a folder, got a file");
    return;
  }
  const std::filesystem::path above = folder_of(path.has_filename() ? path : path.parent_path());
  if (::stat(above.c_str(), &status) != 0 && errno == ENOENT && above != path) make_folder(above);
  if (::mkdir(path.c_str(), 0777) != 0 && errno != EEXIST) {
    input_error(shown(path), "cannot make this folder: {}", std::strerror(errno));
  }
  if (::stat(path.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) {
    input_error(shown(path), "cannot make this folder: {}", std::strerror(ENOTDIR));
  }
  sync_folder(above);
}

void sync_folder(const std::filesystem::path& path) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0 || ::fsync(fd.get()) != 0) {
    throw Error(fmt::format("[{}] cannot sync this folder: {}", shown(path), std::strerror(errno)));
  }
}

int remove_stale_temporaries(const std::filesystem::path& folder) {
  std::error_code error;
  std::vector<std::filesystem::path> stale;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (is_temporary(it->path().filename().native()) &&
        it->symlink_status().type() == std::filesystem::file_type::regular)
      stale.push_back(it->path());
  }
  if (error) throw Error(fmt::format("[{}] cannot list this folder: {}", shown(folder), error.message()));
  for (const auto& path : stale) {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
      throw Error(fmt::format("[{}] cannot remove: {}", shown(path), std::strerror(errno)));
    }
  }
  return static_cast<int>(stale.size());
}

std::vector<Line> split_lines(std::string_view text) {
  std::vector<Line> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    const bool complete = end != std::string_view::npos;
    lines.push_back(
        {text.substr(at, complete ? end - at : std::string_view::npos), static_cast<int64_t>(at), complete});
    at = complete ? end + 1 : text.size();
  }
  return lines;
}

}  // namespace kronbit
