// In builds without CUDA no device but the simulated one opens, so these are never called.
#include "quant/engine/device/steps.h"

namespace kronbit::quant::cuda {

const DeviceSteps kDeviceSteps = {};

}  // namespace kronbit::quant::cuda
