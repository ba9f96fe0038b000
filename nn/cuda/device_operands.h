// What a convolution makes of its two operands before the product, on a device: the quantizers of quant/ implement it.
#pragma once

#include <cstdint>

#include "tensor/cuda/queue.h"

namespace kronbit {
struct bf16;
namespace nn {

/// As Convolution::input, input_gradient and weights, for rows of channels_pitch(channels) numbers.
class DeviceOperands {
 public:
  virtual ~DeviceOperands() = default;
  /// Whether the product takes the input as it is.
  virtual bool keeps_input() const = 0;
  virtual void input(int64_t rows, int channels, const bf16* x, bf16* y, const DeviceQueue& queue) const = 0;
  /// In place; x is the input of input().
  virtual void input_gradient(int64_t rows, int channels, const bf16* x, bf16* dx, const DeviceQueue& queue) const = 0;
  /// w, y [O, C, taps] f32.
  virtual void weights(int64_t outputs, int channels, int taps, const float* w, float* y,
                       const DeviceQueue& queue) const = 0;
};

}  // namespace nn
}  // namespace kronbit
