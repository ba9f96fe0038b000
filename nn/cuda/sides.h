// The functions of DeviceOps by name, in the namespace of the side that is being compiled, and what the kernel files
// share. Private to the folder.
#pragma once

#include <type_traits>

#include "nn/cuda/device_ops.h"
#include "nn/cuda/tiles.h"
#include "tensor/cuda/simt.h"

namespace kronbit::KB_SIDE {

/// A function of the type that a member of DeviceOps points to.
template <class Pointer>
using Named = std::remove_pointer_t<Pointer>;

Named<decltype(nn::DeviceOps::pack_weights)> pack_weights;
Named<decltype(nn::DeviceOps::gather)> gather;
Named<decltype(nn::DeviceOps::conv_forward)> conv_forward;
Named<decltype(nn::DeviceOps::conv_backward_data)> conv_backward_data;
Named<decltype(nn::DeviceOps::conv_backward_weights)> conv_backward_weights;
Named<decltype(nn::DeviceOps::norm_sums)> norm_sums;
Named<decltype(nn::DeviceOps::norm_finish)> norm_finish;
Named<decltype(nn::DeviceOps::norm_fixed)> norm_fixed;
Named<decltype(nn::DeviceOps::normalize)> normalize;
Named<decltype(nn::DeviceOps::normalize_backward)> normalize_backward;
Named<decltype(nn::DeviceOps::add)> add;
Named<decltype(nn::DeviceOps::relu)> relu;
Named<decltype(nn::DeviceOps::relu_backward)> relu_backward;
Named<decltype(nn::DeviceOps::max_pool)> max_pool;
Named<decltype(nn::DeviceOps::max_pool_backward)> max_pool_backward;
Named<decltype(nn::DeviceOps::avg_pool)> avg_pool;
Named<decltype(nn::DeviceOps::avg_pool_backward)> avg_pool_backward;
Named<decltype(nn::DeviceOps::global_avg_pool)> global_avg_pool;
Named<decltype(nn::DeviceOps::global_avg_pool_backward)> global_avg_pool_backward;
Named<decltype(nn::DeviceOps::linear)> linear;
Named<decltype(nn::DeviceOps::linear_backward)> linear_backward;
Named<decltype(nn::DeviceOps::cross_entropy)> cross_entropy;
Named<decltype(nn::DeviceOps::gradient_squares)> gradient_squares;
Named<decltype(nn::DeviceOps::sgd)> sgd;
Named<decltype(nn::DeviceOps::crop_images)> crop_images;

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

inline const uint16_t* bits(const bf16* p) { return reinterpret_cast<const uint16_t*>(p); }
inline uint16_t* bits(bf16* p) { return reinterpret_cast<uint16_t*>(p); }

}  // namespace kronbit::KB_SIDE
