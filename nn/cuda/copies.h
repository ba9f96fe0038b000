// Copies of channels between activations on a device: parts of a concatenation, the shortcut without parameters, and
// the flattening before a linear layer, each with its way back.
#pragma once

#include <cstdint>

#include "tensor/cuda/queue.h"

namespace kronbit {
struct bf16;
namespace nn {

/// Every number of the result is written once: y[(h, w, n)][lane] = x[(h', w', n)][lane - first + x_first] for the
/// lanes from `first` on, `channels` of them; all others are zero, or stay as they are where `keep` says so. Units:
/// stride >= 1: h' = h * stride; stride <= -1: h' = h / -stride where that is whole, else zeros
struct ChannelCopy {
  const bf16* x = nullptr;
  bf16* y = nullptr;
  int x_pitch = 0, y_pitch = 0;
  int x_width = 0, height = 0, width = 0, images = 0;  ///< height, width of y
  int first = 0, x_first = 0, channels = 0;
  int stride = 1;
  bool keep = false;
};

/// Formula:  flat[n][c * pixels + p] = map[(p, n)][c]; `back` copies from flat to map. The rest of each row is zero.
struct FlattenCopy {
  bf16 *map = nullptr, *flat = nullptr;
  int map_pitch = 0, flat_pitch = 0;
  int pixels = 0, images = 0, channels = 0;
  bool back = false;
};

struct DeviceCopies {
  void (*channels)(const ChannelCopy& copy, const DeviceQueue& queue);
  void (*flatten)(const FlattenCopy& copy, const DeviceQueue& queue);
};

}  // namespace nn
namespace cuda {
extern const nn::DeviceCopies kDeviceCopies;
}
namespace simulated {
extern const nn::DeviceCopies kDeviceCopies;
}
}  // namespace kronbit
