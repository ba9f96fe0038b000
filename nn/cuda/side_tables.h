// The tables of DeviceOps. Private to the folder.
#pragma once

#include "nn/cuda/device_ops.h"

namespace kronbit {

namespace simulated {
extern const nn::DeviceOps kDeviceOps;
}

namespace nn {
/// Those of CUDA. Throws: Error in a build without.
const DeviceOps& cuda_device_ops();
}  // namespace nn

}  // namespace kronbit
