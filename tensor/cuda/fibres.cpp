#include "tensor/cuda/fibres.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "tensor/base/error.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

// Leaves one stack and goes on on another: the registers that a call must keep (System V, x86-64) are pushed, the place
// is noted in *from, and the same is undone there. The C library's swapcontext also asks the kernel for the signal
// mask, twice per exchange of a lane, which is most of the time of a simulated grid.
extern "C" void kronbit_switch_stacks(void** from, void* to);
asm(R"(
.text
.type kronbit_switch_stacks, @function
kronbit_switch_stacks:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size kronbit_switch_stacks, .-kronbit_switch_stacks
)");

namespace kronbit::simt {

thread_local Dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kStackBytes = 256 * 1024;
#else
constexpr size_t kStackBytes = 64 * 1024;
#endif

/// Lanes that meet again and again under one mask. A lane that goes on from one meeting can reach the next before the
/// others have read, never the one after it: so two sets of slots are enough.
struct Meeting {
  uint64_t arrived[32] = {};  // meetings each lane has come to
  alignas(16) std::array<std::array<std::byte, kExchangeBytes * 32>, 2> slots;
};

struct Copy {
  std::byte* shared;
  const std::byte* global;
  size_t bytes, zeros_from;
  void perform() const {
    std::memcpy(shared, global, zeros_from);
    std::memset(shared + zeros_from, 0, bytes - zeros_from);
  }
};

struct Fibre {
  void* top = nullptr;  // of its stack, while it waits for its turn
  std::unique_ptr<std::byte[]> stack;
  Dim3 thread;
  unsigned index = 0;
  bool begun = false, ended = false;
  // What it waits for: a barrier of the block, or a meeting of lanes.
  uint64_t barrier = 0;  // barriers it has come to
  bool at_barrier = false;
  Meeting* meeting = nullptr;
  unsigned mask = 0;
  uint64_t meeting_number = 0;
  std::vector<std::vector<Copy>> copies;  // groups of asynchronous copies, the last one still open
};

class Block {
 public:
  Block(const Grid& grid, const std::function<void()>& body, Order order) : grid_(grid), body_(body), order_(order) {
    const unsigned count = grid.threads.count();
    fibres_.resize(count);
    for (unsigned i = 0; i < count; ++i) {
      fibres_[i].stack = std::make_unique_for_overwrite<std::byte[]>(kStackBytes);
      fibres_[i].index = i;
      fibres_[i].thread =
          Dim3(i % grid.threads.x, i / grid.threads.x % grid.threads.y, i / grid.threads.x / grid.threads.y);
    }
    shared_ = std::make_unique_for_overwrite<std::byte[]>(grid.shared_bytes + 128);
    meetings_.resize((count + 31) / 32);
  }

  void run(Dim3 at) {
    blockIdx = at;
    live_ = fibres_.size();
    barriers_ = 0;
    // What a block finds in shared memory is no promise: numbers that do harm.
    std::memset(shared_.get(), 0xff, grid_.shared_bytes + 128);
    for (std::map<unsigned, Meeting>& warp : meetings_) warp.clear();
    for (Fibre& fibre : fibres_) start(fibre);
    // A warp runs until all its lanes wait for others: what only a barrier keeps apart then meets if there is none.
    while (live_ > 0) {
      bool moved = false;
      for (size_t first = 0; first < fibres_.size(); first += 32)
        while (run_lanes(first, std::min(fibres_.size(), first + 32))) moved = true;
      if (!moved) deadlock();
    }
  }

  Fibre& current() { return *current_; }
  std::byte* shared() {
    return reinterpret_cast<std::byte*>((reinterpret_cast<uintptr_t>(shared_.get()) + 127) / 128 * 128);
  }
  Meeting& meeting(unsigned warp, unsigned mask) { return meetings_[warp][mask]; }

  void wait_at_barrier() {
    ++current_->barrier;
    current_->at_barrier = true;
    yield();
    current_->at_barrier = false;
  }

  void yield() {
    Fibre& fibre = *current_;
    switch_stacks(fibre.top, back_, nullptr);
  }

 private:
  /// Gives the fibres first .. last - 1, in order, their turns; false when none of them could go on.
  bool run_lanes(size_t first, size_t last) {
    bool moved = false;
    for (size_t i = first; i < last; ++i) {
      Fibre& fibre = fibres_[order_ == Order::Forward ? i : fibres_.size() - 1 - i];
      if (fibre.ended || !may_go_on(fibre)) continue;
      resume(fibre);
      moved = true;
      if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
    }
    return moved;
  }

  /// At the beginning of the kernel. A fibre that has ended goes round its loop; a new one is given its stack.
  void start(Fibre& fibre) {
    fibre.ended = fibre.at_barrier = false;
    fibre.barrier = 0;
    fibre.meeting = nullptr;
    fibre.copies.assign(1, {});
    if (fibre.begun) return;
    fibre.begun = true;
    // What kronbit_switch_stacks pops: six registers, then where to go on; entry() never returns.
    const auto end = reinterpret_cast<uintptr_t>(fibre.stack.get() + kStackBytes) / 16 * 16;
    auto* slots = reinterpret_cast<uintptr_t*>(end) - 8;
    std::fill_n(slots, 8, uintptr_t{0});
    slots[6] = reinterpret_cast<uintptr_t>(&entry);
    fibre.top = slots;
  }

  static void entry();

  void resume(Fibre& fibre) {
    current_ = &fibre;
    threadIdx = fibre.thread;
    switch_stacks(back_, fibre.top, fibre.stack.get());
  }

  /// stack: of the fibre that goes on; null when its turn is over. The address sanitizer has to know.
  void switch_stacks(void*& from, void* to, [[maybe_unused]] const std::byte* stack) {
#if defined(__SANITIZE_ADDRESS__)
    void* fake = nullptr;
    if (stack == nullptr) {
      __sanitizer_start_switch_fiber(&fake, back_bottom_, back_size_);
    } else {
      __sanitizer_start_switch_fiber(&fake, stack, kStackBytes);
    }
#endif
    kronbit_switch_stacks(&from, to);
#if defined(__SANITIZE_ADDRESS__)
    if (stack == nullptr) {
      __sanitizer_finish_switch_fiber(fake, &back_bottom_, &back_size_);
    } else {
      __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
    }
#endif
  }

  bool may_go_on(const Fibre& fibre) {
    if (fibre.at_barrier) {
      // All that have not ended have come to this barrier.
      if (barriers_ >= fibre.barrier) return true;
      for (const Fibre& other : fibres_)
        if (!other.ended && other.barrier < fibre.barrier) return false;
      barriers_ = fibre.barrier;
      return true;
    }
    if (fibre.meeting == nullptr) return true;
    for (unsigned lane = 0; lane < 32; ++lane)
      if ((fibre.mask >> lane & 1) != 0 && fibre.meeting->arrived[lane] < fibre.meeting_number) return false;
    return true;
  }

  [[noreturn]] void deadlock() {
    size_t barrier = 0, warp = 0;
    const Fibre* first = nullptr;
    for (const Fibre& fibre : fibres_) {
      if (fibre.ended) continue;
      if (first == nullptr) first = &fibre;
      ++(fibre.at_barrier ? barrier : warp);
    }
    throw InternalError(
        fmt::format("block ({}, {}, {}): its threads wait for each other: {} at a barrier of the block, {} at an "
                    "exchange within a warp, {} have ended; the first that waits is thread {}",
                    blockIdx.x, blockIdx.y, blockIdx.z, barrier, warp, fibres_.size() - live_, first->index));
  }

  const Grid& grid_;
  const std::function<void()>& body_;
  Order order_;
  std::vector<Fibre> fibres_;
  std::unique_ptr<std::byte[]> shared_;
  std::vector<std::map<unsigned, Meeting>> meetings_;  // of each warp, by mask
  Fibre* current_ = nullptr;
  void* back_ = nullptr;  // top of the stack that fibres return to
  size_t live_ = 0;
  uint64_t barriers_ = 0;  // that all have come to
  std::exception_ptr failure_;
#if defined(__SANITIZE_ADDRESS__)
  const void* back_bottom_ = nullptr;
  size_t back_size_ = 0;
#endif
};

thread_local Block* running = nullptr;

void Block::entry() {
  Block& block = *running;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &block.back_bottom_, &block.back_size_);
#endif
  Fibre& fibre = block.current();
  for (;;) {
    try {
      block.body_();
      async_wait(0);
    } catch (...) {
      block.failure_ = std::current_exception();
    }
    fibre.ended = true;
    --block.live_;
    block.yield();
  }
}

}  // namespace

void run_grid(const Grid& grid, const std::function<void()>& body, Order order) {
  KB_CHECK(running == nullptr);
  const unsigned count = grid.threads.count();
  KB_CHECK(count >= 1 && count <= 1024);
  KB_CHECK(grid.shared_bytes <= kMostSharedBytes);
  blockDim = grid.threads;
  gridDim = grid.blocks;
  Block block(grid, body, order);
  running = &block;
  struct Reset {
    ~Reset() { running = nullptr; }
  } reset;
  for (unsigned z = 0; z < grid.blocks.z; ++z)
    for (unsigned y = 0; y < grid.blocks.y; ++y)
      for (unsigned x = 0; x < grid.blocks.x; ++x) block.run(Dim3(x, y, z));
}

unsigned thread_index() { return running->current().index; }
std::byte* dynamic_shared() { return running->shared(); }
void block_barrier() { running->wait_at_barrier(); }

const std::byte* warp_exchange(unsigned mask, const void* mine, size_t bytes) {
  Fibre& fibre = running->current();
  const unsigned lane = fibre.index % 32;
  KB_CHECK(bytes <= kExchangeBytes);
  KB_CHECK((mask >> lane & 1) != 0);
  Meeting& meeting = running->meeting(fibre.index / 32, mask);
  const uint64_t number = ++meeting.arrived[lane];
  auto& slots = meeting.slots[number % 2];
  std::memcpy(slots.data() + kExchangeBytes * lane, mine, bytes);
  fibre.meeting = &meeting;
  fibre.mask = mask;
  fibre.meeting_number = number;
  running->yield();
  fibre.meeting = nullptr;
  return slots.data();
}

void async_copy(void* shared, const void* global, size_t bytes, size_t zeros_from) {
  running->current().copies.back().push_back(
      {static_cast<std::byte*>(shared), static_cast<const std::byte*>(global), bytes, zeros_from});
}

void async_commit() { running->current().copies.emplace_back(); }

void async_wait(int pending) {
  std::vector<std::vector<Copy>>& groups = running->current().copies;
  const size_t done = groups.size() - 1 - std::min(groups.size() - 1, static_cast<size_t>(pending));
  for (size_t g = 0; g < done; ++g)
    for (const Copy& copy : groups[g]) copy.perform();
  groups.erase(groups.begin(), groups.begin() + static_cast<std::ptrdiff_t>(done));
}

}  // namespace kronbit::simt
