// The pool of memory: what it hands out, new or used before.
#include "tensor/memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>

#include "tensor/base/error.h"

namespace kronbit {
namespace {

TEST(Memory, ZeroedBlocksAreZeroNewAndUsed) {
  for (size_t bytes : {size_t{0}, size_t{1}, size_t{1000}, size_t{3} << 20, (size_t{5} << 20) + 3}) {
    trim_memory();  // the first round is new from the system, the second has been written to
    for (int round = 0; round < 2; ++round) {
      const std::shared_ptr<void> block = allocate_zeroed(bytes);
      auto* first = static_cast<unsigned char*>(block.get());
      ASSERT_TRUE(std::all_of(first, first + bytes, [](unsigned char b) { return b == 0; })) << bytes;
      ASSERT_EQ(reinterpret_cast<uintptr_t>(first) % (bytes >= (size_t{2} << 20) ? size_t{2} << 20 : 64), 0u);
      std::memset(first, 0xa5, bytes);
    }
  }
}

TEST(Memory, TrimGivesBackWhatWaits) {
  trim_memory();
  const MemoryUse before = memory_use();
  allocate(size_t{7} << 20).reset();
  EXPECT_EQ(memory_use().in_use, before.in_use);
  EXPECT_GE(memory_use().reserved, before.reserved + (size_t{7} << 20));
  trim_memory();
  EXPECT_EQ(memory_use().reserved, before.reserved);
}

/// Lets this process map `more` bytes beyond what it has mapped, until the end of the scope.
class AddressSpace {
 public:
  explicit AddressSpace(size_t more) {
    size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    getrlimit(RLIMIT_AS, &before_);
    const rlimit limit{pages * static_cast<size_t>(sysconf(_SC_PAGESIZE)) + more, before_.rlim_max};
    setrlimit(RLIMIT_AS, &limit);
  }
  ~AddressSpace() { setrlimit(RLIMIT_AS, &before_); }

 private:
  rlimit before_{};
};

TEST(Memory, WaitingBlocksMakeRoomForOthers) {
  constexpr size_t kMega = size_t{1} << 20;
  trim_memory();
  allocate(512 * kMega).reset();  // waits, and is of another size than what is asked for next
  const AddressSpace room(64 * kMega);
  EXPECT_NE(allocate(300 * kMega), nullptr);
  const MemoryUse before = memory_use();
  EXPECT_THAT([&] { allocate(size_t{1} << 40); },
              testing::ThrowsMessage<Error>(fmt::format("[memory] no room for {} more bytes ({} in use, {} reserved)",
                                                        size_t{1} << 40, before.in_use, before.in_use)));
  EXPECT_EQ(memory_use().in_use, before.in_use);
}

}  // namespace
}  // namespace kronbit
