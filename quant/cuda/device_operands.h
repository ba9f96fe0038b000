// The quantizers of DsConv2d on a device, as its training there takes them.
#pragma once

#include <memory>

#include "nn/cuda/device_operands.h"
#include "quant/ds_conv2d.h"

namespace kronbit::quant {

std::shared_ptr<const nn::DeviceOperands> device_operands(const DsConvOptions& options, const Device& device);

}  // namespace kronbit::quant
