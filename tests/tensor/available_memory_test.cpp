#include "tensor/available_memory.h"

#include <gtest/gtest.h>

#include <fstream>
#include <limits>

#include "tests/tensor/temporary_folder.h"

namespace kronbit {
namespace {

namespace fs = std::filesystem;

class AvailableMemory : public testing::Test {
 protected:
  void write(const std::string& path, const std::string& text) const {
    fs::create_directories((folder.path() / path).parent_path());
    std::ofstream(folder.path() / path) << text;
  }
  int64_t available() const { return available_memory(folder.path() / "proc", folder.path() / "groups"); }
  const TemporaryFolder folder;
};

TEST_F(AvailableMemory, IsThatOfTheSystem) {
  EXPECT_EQ(available(), std::numeric_limits<int64_t>::max());
  write("proc/meminfo", "MemTotal:       4000 kB\nMemFree:  1 kB\nMemAvailable:    3000 kB\n");
  EXPECT_EQ(available(), 3000 * 1024);
}

TEST_F(AvailableMemory, IsTheLeastOfAllGroupsAbove) {
  write("proc/meminfo", "MemAvailable:    3000 kB\n");
  write("proc/self/cgroup", "1:name=systemd:/\n0::/job/step\n");
  write("groups/job/step/memory.max", "max\n");
  write("groups/job/step/memory.current", "900000\n");
  EXPECT_EQ(available(), 3000 * 1024);
  write("groups/job/memory.max", "1000000\n");
  write("groups/job/memory.current", "950000\n");
  EXPECT_EQ(available(), 50000);
  write("groups/job/memory.stat", "active_file 7\ninactive_file 200000\n");  // pages that are given back when wanted
  EXPECT_EQ(available(), 250000);
  write("groups/memory.max", "10\n");
  write("groups/memory.current", "20\n");
  EXPECT_EQ(available(), 0);
}

TEST_F(AvailableMemory, KnowsTheFirstVersionOfGroups) {
  write("proc/meminfo", "MemAvailable:    3000 kB\n");
  write("proc/self/cgroup", "5:devices:/other\n4:cpu,memory:/box\n0::/\n");
  write("groups/memory/box/memory.limit_in_bytes", "500000\n");
  write("groups/memory/box/memory.usage_in_bytes", "450000\n");
  write("groups/memory/box/memory.stat", "inactive_file 1\ntotal_inactive_file 100000\n");
  EXPECT_EQ(available(), 150000);
  write("proc/self/cgroup", "4:memory:/a/path/that/only/the/host/sees\n");  // a container sees its group as the root
  EXPECT_EQ(available(), 3000 * 1024);
  write("groups/memory/memory.limit_in_bytes", "70000\n");
  write("groups/memory/memory.usage_in_bytes", "30000\n");
  EXPECT_EQ(available(), 40000);
}

TEST_F(AvailableMemory, IsKnownHere) {
  EXPECT_GT(available_memory(), 0);
  EXPECT_LT(available_memory(), std::numeric_limits<int64_t>::max());
}

}  // namespace
}  // namespace kronbit
