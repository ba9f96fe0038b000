// CUDA threads on this processor: the blocks of a grid one after another, the threads of a block as fibres (contexts
// that take turns on one thread of the operating system). A fibre runs until it has to wait for others: at a barrier of
// its block, or where the lanes of a warp exchange values. So a kernel can be tested, sanitized and stepped through in
// a debugger where there is no GPU. Kernels see simt.h, not this header.
//
// What it does not show: races between instructions without a barrier are run in one fixed order: every warp as far as
// it gets before the next one. run_grid() can take the threads in the other direction too; a kernel whose results
// differ between the two has such a race.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace kronbit::simt {

/// As CUDA's: x fastest.
struct Dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr Dim3() = default;
  constexpr Dim3(unsigned x_, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}  // NOLINT: as in CUDA
  constexpr unsigned count() const { return x * y * z; }
};

/// The order in which the threads of a block get their turns.
enum class Order { Forward, Backward };

/// What a kernel wants of a launch: grid and block as in <<<grid, block, shared_bytes>>>.
struct Grid {
  Dim3 blocks, threads;
  size_t shared_bytes = 0;
};

/// What a block may have of dynamic shared memory: the least of the GPUs that code is made for (8.6 and 8.9).
inline constexpr size_t kMostSharedBytes = 99 * 1024;

/// Runs body() once for every thread of every block, on the calling thread; the built-in variables below say which.
/// Throws: InternalError when the threads of a block wait for each other for ever (a barrier that not all of them
///         reach, a shuffle whose mask names a lane that is elsewhere), or a block has no or over 1024 threads or more
///         shared memory than kMostSharedBytes; what body() throws.
void run_grid(const Grid& grid, const std::function<void()>& body, Order order = Order::Forward);

/// CUDA's built-in variables, of the fibre that runs now.
extern thread_local Dim3 threadIdx, blockIdx, blockDim, gridDim;

/// Index of the thread in its block, of its lane in its warp.
unsigned thread_index();
inline unsigned lane_index() { return thread_index() % 32; }

/// The block's dynamic shared memory, aligned to 128 bytes.
std::byte* dynamic_shared();

/// Waits until all threads of the block that have not ended are here.
void block_barrier();

/// One meeting of the lanes in `mask`: every one brings `bytes` bytes (at most kExchangeBytes) and goes on when all
/// have brought theirs. Returns: what all lanes brought, kExchangeBytes apart; valid until the lane's next meeting.
inline constexpr size_t kExchangeBytes = 64;
const std::byte* warp_exchange(unsigned mask, const void* mine, size_t bytes);

/// Copies that are to happen later, as cp.async: performed as late as the kernel allows, so that a missing wait shows.
void async_copy(void* shared, const void* global, size_t bytes, size_t zeros_from);
void async_commit();
/// Performs the copies of all committed groups of this thread but the `pending` latest.
void async_wait(int pending);

}  // namespace kronbit::simt
