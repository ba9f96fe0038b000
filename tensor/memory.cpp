#include "tensor/memory.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include <bit>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "tensor/base/error.h"

namespace kronbit {
namespace {

constexpr size_t kHuge = size_t{2} << 20;

// Four size classes per power of two, at least 64 bytes apart: at most a fifth of a block above 256 bytes is unused.
size_t size_class(size_t bytes) {
  if (bytes <= 64) return 64;
  const size_t quarter = std::bit_floor(bytes - 1) / 4;
  const size_t unit = quarter < 64 ? 64 : quarter;
  return (bytes + unit - 1) / unit * unit;
}

// From the system, aligned to `kHuge`, all zero: a larger mapping whose ends are given back. nullptr: no room.
void* map(size_t size) {
  void* all = mmap(nullptr, size + kHuge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED) return nullptr;
  const size_t before = (kHuge - reinterpret_cast<uintptr_t>(all) % kHuge) % kHuge;
  char* begin = static_cast<char*>(all) + before;
  if (before > 0) munmap(all, before);
  if (before < kHuge) munmap(begin + size, kHuge - before);
  madvise(begin, size, MADV_HUGEPAGE);
  return begin;
}

// nullptr: no room.
void* new_block(size_t size) {
  if (size >= kHuge) return map(size);
  void* p = nullptr;
  return posix_memalign(&p, 64, size) == 0 ? p : nullptr;
}

void free_block(void* p, size_t size) {
  if (size < kHuge) return std::free(p);
  munmap(p, size);
}

class Pool {
 public:
  struct Block {
    void* memory;
    bool zero;
  };
  Block take(size_t size) {
    {
      std::lock_guard lock(mutex_);
      use_.in_use += size;
      auto& waiting = waiting_[size];
      if (!waiting.empty()) {
        void* p = waiting.back();
        waiting.pop_back();
        return {p, false};
      }
      use_.reserved += size;
    }
    void* p = new_block(size);
    if (p == nullptr) {
      trim();
      p = new_block(size);
    }
    if (p == nullptr) {
      std::lock_guard lock(mutex_);
      use_.in_use -= size;
      use_.reserved -= size;
      throw Error(
          fmt::format("[memory] no room for {} more bytes ({} in use, {} reserved)", size, use_.in_use, use_.reserved));
    }
    return {p, size >= kHuge};
  }
  void give(void* p, size_t size) noexcept {
    std::lock_guard lock(mutex_);
    use_.in_use -= size;
    try {
      waiting_[size].push_back(p);
    } catch (...) {
      use_.reserved -= size;
      free_block(p, size);
    }
  }
  MemoryUse use() {
    std::lock_guard lock(mutex_);
    return use_;
  }
  void trim() {
    std::lock_guard lock(mutex_);
    for (auto& [size, blocks] : waiting_) {
      for (void* p : blocks) free_block(p, size);
      use_.reserved -= size * blocks.size();
      blocks.clear();
    }
  }

 private:
  std::mutex mutex_;
  std::map<size_t, std::vector<void*>> waiting_;
  MemoryUse use_;
};

// Never destroyed: tensors with static lifetime may outlive any other object.
Pool& pool() {
  static Pool* instance = new Pool;
  return *instance;
}

}  // namespace

namespace {
std::shared_ptr<void> take(size_t bytes, bool zero) {
  if (bytes > (size_t{1} << 60)) throw Error(fmt::format("[memory] no room for {} bytes", bytes));
  const size_t size = size_class(bytes);
  const Pool::Block block = pool().take(size);
  if (zero && !block.zero) std::memset(block.memory, 0, bytes);
  return {block.memory, [size](void* p) { pool().give(p, size); }};
}
}  // namespace

std::shared_ptr<void> allocate(size_t bytes) { return take(bytes, false); }
std::shared_ptr<void> allocate_zeroed(size_t bytes) { return take(bytes, true); }

MemoryUse memory_use() { return pool().use(); }
void trim_memory() { pool().trim(); }

size_t peak_resident_bytes() {
  // getrusage() would count what the process that started this one had: the system keeps its peak over execve().
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (size_t kilobytes = 0; word == "VmHWM:" && status >> kilobytes) return kilobytes * 1024;
  throw Error("[memory] /proc/self/status: wanted a line VmHWM, found none");
}

}  // namespace kronbit
