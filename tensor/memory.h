// Pooled memory: freed blocks are kept by size and handed out again, so a steady training step asks the system for
// nothing.
#pragma once

#include <cstddef>
#include <memory>

namespace kronbit {

/// Memory for `bytes` (0 allowed), aligned to 64; from 2 MB on, to huge pages. Not zeroed. Thread-safe.
/// Throws: Error when the system has no more, even after trim_memory().
std::shared_ptr<void> allocate(size_t bytes);
/// As allocate(), all zero. What is new from the system is so already and takes no room until it is written to.
std::shared_ptr<void> allocate_zeroed(size_t bytes);

struct MemoryUse {
  size_t in_use = 0;    ///< bytes handed out
  size_t reserved = 0;  ///< bytes taken from the system: in use or waiting in the pool
};
MemoryUse memory_use();

/// Gives the waiting blocks back to the system.
void trim_memory();

/// Peak resident set of this process, bytes.
size_t peak_resident_bytes();

}  // namespace kronbit
