// The functions of one side in a row.
#include "nn/cuda/side_tables.h"
#include "nn/cuda/sides.h"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

namespace kronbit::KB_SIDE {

extern const nn::DeviceOps kDeviceOps;
const nn::DeviceOps kDeviceOps = {
    .pack_weights = pack_weights,
    .gather = gather,
    .conv_forward = conv_forward,
    .conv_backward_data = conv_backward_data,
    .conv_backward_weights = conv_backward_weights,
};

}  // namespace kronbit::KB_SIDE

#if defined(__CUDACC__)
const kronbit::nn::DeviceOps& kronbit::nn::cuda_device_ops() { return cuda::kDeviceOps; }
#endif
