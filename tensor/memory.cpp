#include "tensor/memory.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include <bit>
#include <cstdlib>
#include <map>
#include <mutex>
#include <vector>

#include "tensor/base/error.h"

namespace kronbit {
namespace {

constexpr size_t kHuge = size_t{2} << 20;

// Four size classes per power of two: at most 25 % of a block is unused.
size_t size_class(size_t bytes) {
  if (bytes <= 64) return 64;
  const size_t quarter = std::bit_floor(bytes - 1) / 4;
  const size_t unit = quarter < 64 ? 64 : quarter;
  return (bytes + unit - 1) / unit * unit;
}

class Pool {
 public:
  void* take(size_t size) {
    {
      std::lock_guard lock(mutex_);
      use_.in_use += size;
      auto& waiting = waiting_[size];
      if (!waiting.empty()) {
        void* p = waiting.back();
        waiting.pop_back();
        return p;
      }
      use_.reserved += size;
    }
    void* p = nullptr;
    if (posix_memalign(&p, size >= kHuge ? kHuge : 64, size) != 0) {
      std::lock_guard lock(mutex_);
      use_.in_use -= size;
      use_.reserved -= size;
      throw Error(fmt::format("[memory] no room for {} more bytes ({} in use)", size, use_.in_use));
    }
    if (size >= kHuge) madvise(p, size, MADV_HUGEPAGE);
    return p;
  }
  void give(void* p, size_t size) noexcept {
    std::lock_guard lock(mutex_);
    use_.in_use -= size;
    try {
      waiting_[size].push_back(p);
    } catch (...) {
      use_.reserved -= size;
      std::free(p);
    }
  }
  MemoryUse use() {
    std::lock_guard lock(mutex_);
    return use_;
  }
  void trim() {
    std::lock_guard lock(mutex_);
    for (auto& [size, blocks] : waiting_) {
      for (void* p : blocks) std::free(p);
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

std::shared_ptr<void> allocate(size_t bytes) {
  if (bytes > (size_t{1} << 60)) throw Error(fmt::format("[memory] no room for {} bytes", bytes));
  const size_t size = size_class(bytes);
  void* p = pool().take(size);
  return {p, [size](void* block) { pool().give(block, size); }};
}

MemoryUse memory_use() { return pool().use(); }
void trim_memory() { pool().trim(); }

namespace {
size_t peak_of(int whom) {
  rusage usage{};
  getrusage(whom, &usage);
  return static_cast<size_t>(usage.ru_maxrss) * 1024;
}
}  // namespace

size_t peak_resident_bytes() { return peak_of(RUSAGE_SELF); }
size_t peak_resident_bytes_of_children() { return peak_of(RUSAGE_CHILDREN); }

}  // namespace kronbit
