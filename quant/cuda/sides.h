// The functions of DeviceQuantizers by name, in the namespace of the side that is being compiled, and the tables of
// both sides. Private to the folder.
#pragma once

#include "quant/cuda/device_quantizers.h"
#include "tensor/cuda/side.h"
#include "tensor/cuda/simt.h"

namespace kronbit {

namespace KB_SIDE {
void fake_quantize_weights(int64_t outputs, int channels, int taps, const float* w, int bits, quant::Mode mode,
                           int block, float* y, const DeviceQueue& queue);
void quantize_rows(const bf16* x, bf16* y, int64_t rows, int pitch, int channels,
                   const quant::DeviceActivationFormat& format, const DeviceQueue& queue);
void quantize_rows_backward(const bf16* dy, const bf16* x, bf16* dx, int64_t rows, int pitch, int channels,
                            const quant::DeviceActivationFormat& format, const DeviceQueue& queue);
extern const quant::DeviceQuantizers kDeviceQuantizers;
}  // namespace KB_SIDE

namespace KB_GPU_SIDE {
extern const quant::DeviceQuantizers kDeviceQuantizers;
}

}  // namespace kronbit
