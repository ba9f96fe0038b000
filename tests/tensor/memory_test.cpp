// The pool of memory: what it hands out, new or used before.
#include "tensor/memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

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

}  // namespace
}  // namespace kronbit
