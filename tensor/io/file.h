// Files that survive: whole reads of regular files, atomic publishing, one writer per run folder, an append-only log.
// Failures of the system are Error (exit code 1); a path that cannot be used is InputError (exit code 2).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kronbit {

/// Owner of a file descriptor (opened with O_CLOEXEC, so that no child inherits it); closed on destruction.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();
  int get() const { return fd_; }
  /// Closes now. Returns: errno of close(), 0 when it went well.
  int close();

 private:
  int fd_ = -1;
};

/// Opens /dev/null on those of the descriptors 0, 1, 2 that are closed, so that no file of ours ever becomes "stdout".
/// To be called first in main().
void open_standard_streams();

/// Opens a regular file for reading; never waits (FIFO) and never reads a device.
/// Throws: InputError "[path] cannot open: No such file or directory", "[path] wanted a regular file, got a folder".
Descriptor open_regular(const std::filesystem::path& path);

/// The whole of a regular file. Throws: InputError when it cannot be opened, is larger than `max_bytes` or changes its
/// size meanwhile; Error when reading fails.
std::vector<std::byte> read_file(const std::filesystem::path& path, int64_t max_bytes);
std::string read_text(const std::filesystem::path& path, int64_t max_bytes);
/// The same in memory of tensor/memory.h, for large files: aligned, not cleared before.
struct FileBytes {
  std::shared_ptr<const std::byte> data;
  size_t size = 0;
};
FileBytes read_bytes(const std::filesystem::path& path, int64_t max_bytes);

/// Replaces `path` in one step: after a crash or power cut there is the old file or the new one, whole. Writes
/// `.name.tmp-DIGITS` in the same folder, fsync, rename, fsync of the folder. The parts are written one after the other.
/// Throws: InputError when the folder cannot be written to, Error when writing fails (disk full); the old file stays.
void publish(const std::filesystem::path& path, std::span<const std::byte> bytes);
void publish(const std::filesystem::path& path, std::string_view text);
void publish(const std::filesystem::path& path, const std::vector<std::span<const std::byte>>& parts);

/// Makes the folder and those above it; fine when it is there. Throws: InputError when that is impossible.
void make_folder(const std::filesystem::path& path);

/// fsync of a folder: makes names created, renamed or removed in it last. Throws: Error.
void sync_folder(const std::filesystem::path& path);

/// Removes what interrupted publish() calls left in `folder` (not below it). Only under the folder's lock.
/// Returns: files removed.
int remove_stale_temporaries(const std::filesystem::path& folder);

/// The right to write a run folder: flock on its file `lock`, which the kernel frees when the process ends, however it
/// ends. The file stays and tells who has it. One host only: network file systems may not see each other's locks.
class FolderLock {
 public:
  /// Waits up to a second for a holder that is ending.
  /// Throws: InputError naming process, host and start of the holder when the folder is in use.
  explicit FolderLock(const std::filesystem::path& folder);

 private:
  Descriptor fd_;
};

/// Who holds the lock of `folder` ("process 4711 on host saturn, since 2026-01-31T12:00:00Z"), nothing when it is free.
std::optional<std::string> lock_holder(const std::filesystem::path& folder);

/// One line of a text: without its line end, where it starts, and whether the line end is there.
struct Line {
  std::string_view text;
  int64_t offset = 0;
  bool complete = true;
};
/// The lines of `text`, split at \n; only the last one can be incomplete. The views point into `text`.
std::vector<Line> split_lines(std::string_view text);

/// A file that only grows, by whole lines: each is on the disk when append() returns.
class AppendLog {
 public:
  /// A new, empty log, its name on the disk too. Throws: InputError when `path` exists or cannot be made.
  static AppendLog create(const std::filesystem::path& path);
  /// Goes on with a log of which the first `keep_bytes` are kept; what follows (a torn line) is cut off.
  /// Throws: InputError when it cannot be opened or is shorter.
  static AppendLog resume(const std::filesystem::path& path, int64_t keep_bytes);

  /// Appends `line` and a line end with one write(), then fdatasync(). Requires: no line end in `line`.
  /// Throws: Error. The log is cut back to its last whole line and refuses further lines: after a failed fsync the
  /// system may have dropped the data, so trying again would lie.
  void append(std::string_view line);
  int64_t size() const { return size_; }  ///< bytes

 private:
  AppendLog(std::filesystem::path path, Descriptor fd, int64_t size);
  std::filesystem::path path_;
  Descriptor fd_;
  int64_t size_ = 0;
  bool failed_ = false;
};

}  // namespace kronbit
