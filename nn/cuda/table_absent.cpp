// In builds without CUDA.
#include "nn/cuda/side_tables.h"
#include "tensor/cuda/failure.h"

namespace kronbit::nn {

const DeviceOps& cuda_device_ops() { device_failure("training", "this build has no CUDA"); }

}  // namespace kronbit::nn
