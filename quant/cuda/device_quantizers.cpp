#include "quant/cuda/device_quantizers.h"

#include "quant/cuda/sides.h"
#include "quant/quantizer.h"
#include "tensor/cuda/device.h"

namespace kronbit::quant {

// What the kernels take them for.
static_assert(static_cast<int>(Mode::SignedExtreme) == 0 && static_cast<int>(Mode::Binary) == 1 &&
              static_cast<int>(Mode::PaperFloor) == 2);

const DeviceQuantizers& device_quantizers(const Device& device) {
  return device.simulated() ? simulated::kDeviceQuantizers : KB_GPU_SIDE::kDeviceQuantizers;
}

}  // namespace kronbit::quant
