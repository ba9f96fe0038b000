// The functions of DeviceOps by name, in the namespace of the side that is being compiled, and what the kernel files
// share. Private to the folder.
#pragma once

#include <type_traits>

#include "nn/cuda/device_ops.h"
#include "nn/cuda/tiles.h"
#include "tensor/cuda/items.h"

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
Named<decltype(nn::DeviceOps::copy_channels)> copy_channels;
Named<decltype(nn::DeviceOps::flatten)> flatten;
Named<decltype(nn::DeviceOps::unflatten)> unflatten;

inline const uint16_t* bits(const bf16* p) { return reinterpret_cast<const uint16_t*>(p); }
inline uint16_t* bits(bf16* p) { return reinterpret_cast<uint16_t*>(p); }

}  // namespace kronbit::KB_SIDE
