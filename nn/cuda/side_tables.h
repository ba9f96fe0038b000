// The tables of DeviceOps. Private to the folder.
#pragma once

#include "nn/cuda/device_ops.h"
#include "tensor/cuda/side.h"

namespace kronbit::simulated {
extern const nn::DeviceOps kDeviceOps;
}
namespace kronbit::KB_GPU_SIDE {
extern const nn::DeviceOps kDeviceOps;
}
