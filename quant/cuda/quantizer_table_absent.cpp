// In builds without CUDA.
#include "quant/cuda/sides.h"
#include "tensor/cuda/failure.h"

namespace kronbit::quant {

const DeviceQuantizers& cuda_device_quantizers() { device_failure("quantizers", "this build has no CUDA"); }

}  // namespace kronbit::quant
