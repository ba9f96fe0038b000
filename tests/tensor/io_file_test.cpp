// Files: whole reads, atomic publishing on a full disk and in a read-only folder, the run lock, the append-only log.
#include "tensor/io/file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>

#include "tensor/base/error.h"
#include "tensor/io/crc32.h"
#include "tensor/io/json.h"
#include "tensor/io/safetensors.h"
#include "tests/tensor/message_of.h"
#include "tests/tensor/temporary_folder.h"

namespace kronbit {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class Files : public testing::Test {
 protected:
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& entry : fs::directory_iterator(folder)) all.push_back(entry.path().filename().string());
    std::sort(all.begin(), all.end());
    return all;
  }

 private:
  const TemporaryFolder made_;

 protected:
  const fs::path& folder = made_.path();
};

// Runs `action` in a child process; true when it returned true there.
bool in_child(const std::function<bool()>& action) {
  const pid_t child = ::fork();
  if (child == 0) {
    bool fine = false;
    try {
      fine = action();
    } catch (...) {
    }
    ::_exit(fine ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// From here on (in a child) no file grows beyond `bytes`: a full disk, as write() sees it.
void limit_file_size(rlim_t bytes) {
  ::signal(SIGXFSZ, SIG_IGN);
  const rlimit limit{bytes, bytes};
  ::setrlimit(RLIMIT_FSIZE, &limit);
}

// Root writes everywhere: becomes "nobody" (in a child) so that permissions count.
bool drop_root() { return ::geteuid() != 0 || (::setegid(65534) == 0 && ::seteuid(65534) == 0); }

TEST_F(Files, PublishThenReadGivesTheSameBytes) {
  const fs::path path = folder / "a.bin";
  const std::string text("one\0two", 7);
  publish(path, text);
  EXPECT_EQ(read_text(path, 100), text);
  EXPECT_EQ(read_file(path, 7).size(), 7u);
  EXPECT_EQ(crc32_of_file(path), crc32(text));
  publish(path, std::string_view());
  EXPECT_EQ(read_text(path, 0), "");
  EXPECT_EQ(names(), std::vector<std::string>{"a.bin"}) << "no temporary file stays";
}

TEST_F(Files, OnlyRegularFilesOfBoundedSizeAreRead) {
  publish(folder / "big", std::string(11, 'x'));
  ASSERT_EQ(::mkfifo((folder / "fifo").c_str(), 0600), 0);
  fs::create_symlink(folder / "nowhere", folder / "dangling");
  EXPECT_THAT(message_of([&] { read_file(folder / "big", 10); }), HasSubstr("big] wanted at most 10 bytes, got 11"));
  EXPECT_THAT(message_of([&] { read_file(folder / "none", 10); }), HasSubstr("none] cannot open: No such file"));
  EXPECT_THAT(message_of([&] { read_file(folder / "dangling", 10); }), HasSubstr("cannot open: No such file"));
  EXPECT_THAT(message_of([&] { read_file(folder, 10); }), HasSubstr("got a folder"));
  EXPECT_THAT(message_of([&] { read_file(folder / "fifo", 10); }), HasSubstr("got a pipe"));
  EXPECT_THAT(message_of([&] { read_file("/dev/zero", 10); }), HasSubstr("got a device"));
  EXPECT_THAT(message_of([&] { read_file("/proc/self/status", 100'000); }),
              HasSubstr("size: wanted 0 bytes, got more"));
  EXPECT_THAT(message_of([&] { read_file(folder / "a\x1b[2J", 10); }), HasSubstr("a\\x1b[2J"));
  EXPECT_THAT(message_of([&] { read_json(folder / "fifo"); }), HasSubstr("got a pipe"));
  EXPECT_THAT(message_of([&] { SafetensorsFile::open(folder); }), HasSubstr("got a folder"));
}

TEST_F(Files, SafetensorsKeepTheirBytesAliveAndAreNamed) {
  SafetensorsWriter writer;
  writer.add("w", Tensor::from({2}, {1, 2}));
  writer.publish(folder / "w.safetensors");
  const SafetensorsFile copy = SafetensorsFile::open(folder / "w.safetensors");
  publish(folder / "w.safetensors", std::string("short"));  // the open one does not look at the file again
  EXPECT_EQ(to_tensor(*copy.find("w"), copy.name()).values(), (std::vector<float>{1, 2}));
  EXPECT_THAT(message_of([&] { SafetensorsFile::open(folder / "w.safetensors"); }),
              HasSubstr((folder / "w.safetensors").string() + "] size: "));
}

TEST_F(Files, AFullDiskLeavesTheOldFileAndNoTemporary) {
  const fs::path path = folder / "a.bin";
  publish(path, std::string("old"));
  EXPECT_TRUE(in_child([&] {
    limit_file_size(1000);
    const std::string says = message_of<Error>([&] { publish(path, std::string(5000, 'x')); });
    return says.find("cannot write: File too large") != std::string::npos;
  }));
  EXPECT_EQ(read_text(path, 10), "old");
  EXPECT_EQ(names(), std::vector<std::string>{"a.bin"});
}

TEST_F(Files, AFolderThatCannotBeWrittenIsTheUsersMistake) {
  publish(folder / "a.bin", std::string("old"));
  fs::permissions(folder,
                  fs::perms::owner_read | fs::perms::owner_exec | fs::perms::others_read | fs::perms::others_exec);
  EXPECT_TRUE(in_child([&] {
    return drop_root() && message_of([&] { publish(folder / "a.bin", std::string("new")); }) != "nothing was thrown" &&
           message_of([&] { make_folder(folder / "sub"); }).find("Permission denied") != std::string::npos;
  }));
  fs::permissions(folder, fs::perms::owner_all);
  EXPECT_EQ(read_text(folder / "a.bin", 10), "old");
  EXPECT_THAT(message_of([&] { publish(folder / "none" / "a", std::string("x")); }), HasSubstr("No such file"));
  EXPECT_THAT(message_of([&] { publish("/proc/nope", std::string("x")); }), HasSubstr("/proc/nope] cannot write"));
  EXPECT_THAT(message_of([&] { publish(folder / "a.bin" / "b", std::string("x")); }), HasSubstr("Not a directory"));
  EXPECT_THAT(message_of([&] { publish(folder / "", std::string("x")); }), HasSubstr("wanted a file name"));
  fs::create_directory(folder / "sub");
  EXPECT_THAT(message_of([&] { publish(folder / "sub", std::string("x")); }),
              HasSubstr("wanted a file name, got a folder"));
  EXPECT_EQ(names(), (std::vector<std::string>{"a.bin", "sub"}));
}

TEST_F(Files, FoldersAreMadeWithThoseAbove) {
  make_folder(folder / "a" / "b" / "c");
  make_folder(folder / "a" / "b" / "d" / "");
  make_folder(folder / "a" / "b" / "c");
  EXPECT_TRUE(fs::is_directory(folder / "a" / "b" / "c"));
  EXPECT_TRUE(fs::is_directory(folder / "a" / "b" / "d"));
  publish(folder / "file", std::string());
  fs::create_symlink(folder / "nowhere", folder / "dangling");
  EXPECT_THROW(make_folder(""), InputError);
  EXPECT_THROW(make_folder(folder / "file"), InputError);
  EXPECT_THROW(make_folder(folder / "file" / "x"), InputError);
  EXPECT_THROW(make_folder(folder / "dangling"), InputError);
  EXPECT_THROW(make_folder("/proc/nope"), InputError);
  EXPECT_THROW(make_folder(folder / std::string(300, 'n')), InputError);
}

TEST_F(Files, StaleTemporariesOfOursAreRemovedAndNothingElse) {
  for (const char* name :
       {".a.bin.tmp-12", ".b.tmp-7", "a.tmp-12", ".a.tmp-", ".a.tmp-1x", ".tmp-5", ".hidden", "a.bin"}) {
    publish(folder / name, std::string("x"));
  }
  fs::create_directory(folder / ".c.tmp-3");
  EXPECT_EQ(remove_stale_temporaries(folder), 2);
  EXPECT_EQ(names(),
            (std::vector<std::string>{".a.tmp-", ".a.tmp-1x", ".c.tmp-3", ".hidden", ".tmp-5", "a.bin", "a.tmp-12"}));
  EXPECT_THROW(remove_stale_temporaries(folder / "none"), Error);
}

TEST_F(Files, ASecondHolderIsRefusedAndToldWhoHasTheFolder) {
  EXPECT_EQ(lock_holder(folder), std::nullopt);
  {
    const FolderLock lock(folder);
    const std::string us = "process " + std::to_string(::getpid()) + " on host ";
    EXPECT_THAT(message_of([&] { FolderLock second(folder); }),
                testing::AllOf(HasSubstr(folder.string()), HasSubstr("in use by " + us), HasSubstr(", since 2")));
    EXPECT_THAT(lock_holder(folder).value_or("free"), HasSubstr(us));
  }
  EXPECT_EQ(lock_holder(folder), std::nullopt);
  EXPECT_NO_THROW(FolderLock again(folder));
  EXPECT_THROW(FolderLock none(folder / "none"), InputError);
}

TEST_F(Files, AKilledHolderLeavesNoLock) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const FolderLock lock(folder);
    if (::write(ready[1], "x", 1) != 1) ::_exit(1);
    for (;;) ::pause();
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_THAT(message_of([&] { FolderLock second(folder); }), HasSubstr("process " + std::to_string(child)));
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_NO_THROW(FolderLock again(folder));
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(Files, AKilledHoldersLastChildIsWaitedFor) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const FolderLock lock(folder);
    if (::fork() == 0) {  // shares the lock, as one that has not begun its own program yet
      if (::write(ready[1], "x", 1) != 1) ::_exit(1);
      ::usleep(300'000);
      ::_exit(0);
    }
    for (;;) ::pause();
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_TRUE(lock_holder(folder).has_value());
  EXPECT_NO_THROW(FolderLock again(folder));
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(Files, LinesComeWithTheirPlaces) {
  EXPECT_TRUE(split_lines("").empty());
  const std::vector<Line> lines = split_lines("ab\n\ncd");
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0].text, "ab");
  EXPECT_EQ(lines[1].text, "");
  EXPECT_EQ(lines[1].offset, 3);
  EXPECT_TRUE(lines[1].complete);
  EXPECT_EQ(lines[2].text, "cd");
  EXPECT_EQ(lines[2].offset, 4);
  EXPECT_FALSE(lines[2].complete);
  EXPECT_TRUE(split_lines("ab\n").back().complete);
}

TEST_F(Files, ALogGrowsByWholeLinesAndIsCutToThemOnResume) {
  const fs::path path = folder / "journal.jsonl";
  {
    AppendLog log = AppendLog::create(path);
    log.append("{\"n\":0}");
    log.append("");
    EXPECT_EQ(log.size(), 9);
    EXPECT_THROW(log.append("two\nlines"), InternalError);
  }
  EXPECT_THAT(message_of([&] { AppendLog::create(path); }), HasSubstr("File exists"));
  {
    AppendLog log = AppendLog::resume(path, 8);  // the empty line counts as torn here
    log.append("{\"n\":1}");
  }
  EXPECT_EQ(read_text(path, 100), "{\"n\":0}\n{\"n\":1}\n");
  EXPECT_THAT(message_of([&] { AppendLog::resume(path, 17); }), HasSubstr("wanted at least 17 bytes, got 16"));
  EXPECT_THROW(AppendLog::resume(folder / "none", 0), InputError);
  EXPECT_THROW(AppendLog::resume(folder, 0), InputError);
}

TEST_F(Files, AFullDiskLeavesTheLogWithItsWholeLinesAndStopsIt) {
  const fs::path path = folder / "journal.jsonl";
  EXPECT_TRUE(in_child([&] {
    AppendLog log = AppendLog::create(path);
    log.append("first");
    limit_file_size(10);
    const std::string torn = message_of<Error>([&] { log.append("second, too long"); });
    const std::string after = message_of<Error>([&] { log.append("x"); });
    return torn.find("wanted 17 bytes written, got 4") != std::string::npos &&
           after.find("an earlier write failed") != std::string::npos && log.size() == 6;
  }));
  EXPECT_EQ(read_text(path, 100), "first\n");
}

TEST_F(Files, ClosedStandardStreamsNeverBecomeOurFiles) {
  EXPECT_TRUE(in_child([&] {
    ::close(0);
    ::close(1);
    open_standard_streams();
    const AppendLog log = AppendLog::create(folder / "journal.jsonl");
    if (::write(1, "printed", 7) != 7) return false;
    return fs::file_size(folder / "journal.jsonl") == 0;
  }));
}

TEST_F(Files, DescriptorsAreNotInherited) {
  publish(folder / "a", std::string("x"));
  const Descriptor fd = open_regular(folder / "a");
  EXPECT_EQ(::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

TEST_F(Files, AnotherMachinesProcessOfOurNumberKeepsItsTemporary) {
  const std::string theirs = ".a.bin.tmp-" + std::to_string(::getpid());
  publish(folder / theirs, std::string("half of it"));
  publish(folder / "a.bin", std::string("ours"));
  EXPECT_EQ(read_text(folder / "a.bin", 10), "ours");
  EXPECT_EQ(names(), (std::vector<std::string>{theirs, "a.bin"}));
}

}  // namespace
}  // namespace kronbit
