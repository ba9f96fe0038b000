// The functions of one side in a row.
#include "nn/cuda/side_tables.h"
#include "nn/cuda/sides.h"

namespace kronbit::KB_SIDE {

const nn::DeviceOps kDeviceOps = {
    .pack_weights = pack_weights,
    .gather = gather,
    .conv_forward = conv_forward,
    .conv_backward_data = conv_backward_data,
    .conv_backward_weights = conv_backward_weights,
    .norm_sums = norm_sums,
    .norm_finish = norm_finish,
    .norm_fixed = norm_fixed,
    .normalize = normalize,
    .normalize_backward = normalize_backward,
    .add = add,
    .relu = relu,
    .relu_backward = relu_backward,
    .max_pool = max_pool,
    .max_pool_backward = max_pool_backward,
    .avg_pool = avg_pool,
    .avg_pool_backward = avg_pool_backward,
    .global_avg_pool = global_avg_pool,
    .global_avg_pool_backward = global_avg_pool_backward,
    .linear = linear,
    .linear_backward = linear_backward,
    .cross_entropy = cross_entropy,
    .gradient_squares = gradient_squares,
    .sgd = sgd,
    .crop_images = crop_images,
    .copy_channels = copy_channels,
    .flatten = flatten,
    .unflatten = unflatten,
};

}  // namespace kronbit::KB_SIDE
