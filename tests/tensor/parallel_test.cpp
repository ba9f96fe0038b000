// The parallel loop's promises, and how many threads a process may have.
#include "tensor/parallel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <limits>
#include <stdexcept>
#include <thread>
#include <vector>

#include "tensor/base/error.h"
#include "tests/tensor/keep_threads.h"
#include "tests/tensor/temporary_folder.h"

namespace kronbit {
namespace {

class Parallel : public testing::TestWithParam<int> {
 protected:
  void SetUp() override { set_threads(GetParam()); }
  const KeepThreads keep_;
};

TEST_P(Parallel, EveryChunkIsCalledOnce) {
  for (int64_t grain : {1, 3, 64}) {
    for (int64_t n : {-1, 0, 1, 2, 3, 63, 64, 65, 1000}) {
      std::vector<std::atomic<int>> calls(static_cast<size_t>(std::max<int64_t>(n, 0)));
      std::atomic<int64_t> chunks = 0, wrong = 0;
      parallel_for(n, grain, [&](int64_t begin, int64_t end) {
        ++chunks;
        wrong += begin % grain != 0 || end != std::min(n, begin + grain);
        for (int64_t i = begin; i < end; ++i) ++calls[static_cast<size_t>(i)];
      });
      EXPECT_EQ(chunks, chunk_count(n, grain));
      EXPECT_EQ(wrong, 0) << n << " by " << grain;
      EXPECT_THAT(calls, testing::Each(testing::Eq(1))) << n << " by " << grain;
    }
  }
}

TEST_P(Parallel, TheExceptionOfTheLowestChunkIsRethrown) {
  for (int repeat = 0; repeat < 20; ++repeat) {
    const auto fails = [&] {
      parallel_for(100, 2, [&](int64_t begin, int64_t) {
        if (begin < 20) return;
        if (begin == 20) std::this_thread::sleep_for(std::chrono::milliseconds(1));  // later ones fail first
        throw std::runtime_error(std::to_string(begin));
      });
    };
    EXPECT_THAT(fails, testing::ThrowsMessage<std::runtime_error>("20"));
  }
}

TEST_P(Parallel, NestedCallsRunOnTheCallingThread) {
  std::atomic<int> elsewhere = 0, inner = 0;
  parallel_for(8, 1, [&](int64_t, int64_t) {
    const std::thread::id caller = std::this_thread::get_id();
    parallel_for(5, 1, [&](int64_t, int64_t) {
      elsewhere += std::this_thread::get_id() != caller;
      ++inner;
    });
  });
  EXPECT_EQ(inner, 40);
  EXPECT_EQ(elsewhere, 0);
}

INSTANTIATE_TEST_SUITE_P(Threads, Parallel, testing::Values(1, 2, 5));

TEST(Threads, OutOfRangeIsRefused) {
  for (int n : {-1, 0, 1025}) EXPECT_THROW(set_threads(n), InputError) << n;
}

TEST(Threads, TheSmallestQuotaOfAllGroupsAboveCounts) {
  namespace fs = std::filesystem;
  const TemporaryFolder folder;
  const fs::path& root = folder.path();
  fs::create_directories(root / "slice/job/step");
  const auto quota = [&](const std::string& group) {
    std::ofstream(root / "self") << "12:cpuset:/other\n0::" << group << "\n";
    return cpu_quota(root, root / "self");
  };
  const double none = std::numeric_limits<double>::infinity();
  EXPECT_EQ(quota("/slice/job/step"), none);
  std::ofstream(root / "slice/job/step/cpu.max") << "max 100000\n";
  EXPECT_EQ(quota("/slice/job/step"), none);
  std::ofstream(root / "slice/job/cpu.max") << "250000 100000\n";
  EXPECT_EQ(quota("/slice/job/step"), 2.5);
  std::ofstream(root / "slice/cpu.max") << "400000 100000\n";
  EXPECT_EQ(quota("/slice/job/step"), 2.5);
  EXPECT_EQ(quota("/slice"), 4);
  EXPECT_EQ(quota("/"), none);
  std::ofstream(root / "cpu.max") << "50000 100000\n";
  for (const char* group : {"/", "/slice/job/step", "/not/here"}) EXPECT_EQ(quota(group), 0.5) << group;
  EXPECT_EQ(cpu_quota(root, root / "nowhere"), 0.5);
}

}  // namespace
}  // namespace kronbit
