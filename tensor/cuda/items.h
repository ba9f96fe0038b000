// The simplest way to cut work: a thread for every item (a number, a piece of eight numbers, a row).
#pragma once

#include "tensor/cuda/queue.h"
#include "tensor/cuda/simt.h"

namespace kronbit::KB_SIDE {

constexpr int kOpThreads = 256;

/// One thread for every item, up to a number of blocks that fills any GPU: kernels go on in steps of the grid.
inline Launch blocks_for(int64_t items, const DeviceQueue& queue) {
  const int64_t blocks = (items + kOpThreads - 1) / kOpThreads;
  return {.blocks_x = static_cast<unsigned>(blocks < 4096 ? blocks : 4096),
          .threads = kOpThreads,
          .stream = queue.stream,
          .backward = queue.backward};
}
/// The first item of a thread and the step to its next.
__device__ __forceinline__ int64_t first_item() {
  return static_cast<int64_t>(blockIdx.x) * kOpThreads + static_cast<int64_t>(threadIdx.x);
}
__device__ __forceinline__ int64_t item_step() { return static_cast<int64_t>(gridDim.x) * kOpThreads; }

}  // namespace kronbit::KB_SIDE
