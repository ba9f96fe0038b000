// The two quantizers of training on a GPU: those of quant/quantizer.h on pointers into a device's memory, with the same
// bits. They allocate nothing and begin their work on a queue. Light enough for nvcc: kernel files include it.
#pragma once

#include <cstdint>

#include "tensor/cuda/queue.h"

namespace kronbit {

class Device;
struct bf16;  // tensor/tensor.h

namespace quant {

enum class Mode;  // quantizer.h

/// As ActivationFormat.
struct DeviceActivationFormat {
  int bits = 8;
  bool is_signed = true;
  int block = 32;
};

struct DeviceQuantizers {
  /// fake_quantize_weights().
  /// Shapes:   w, y [outputs][channels][taps] f32, taps = kh * kw; y may be w
  /// Requires: bits 1..8, block >= 1, binary only at 1 bit
  void (*weights)(int64_t outputs, int channels, int taps, const float* w, int bits, Mode mode, int block, float* y,
                  const DeviceQueue& queue);
  /// quantize_rows() and quantize_rows_backward() of bf16. y may be x, dx may be dy.
  /// Requires: pitch = pitch_of(channels); padding of x is zero (that of y and dx becomes zero); aligned to 16 bytes
  void (*rows)(const bf16* x, bf16* y, int64_t rows, int pitch, int channels, const DeviceActivationFormat& format,
               const DeviceQueue& queue);
  void (*rows_backward)(const bf16* dy, const bf16* x, bf16* dx, int64_t rows, int pitch, int channels,
                        const DeviceActivationFormat& format, const DeviceQueue& queue);
};
/// Those of a device.
const DeviceQuantizers& device_quantizers(const Device& device);

}  // namespace quant
}  // namespace kronbit
