// How much workspace the operators of a device need: fixed by the shapes, so that the order of sums is too.
#include <algorithm>

#include "nn/cuda/side_tables.h"
#include "nn/cuda/tiles.h"
#include "tensor/cuda/device.h"
#include "tensor/tensor.h"

namespace kronbit::nn {

static_assert([] {
  for (int c = 0; c < 200; ++c)
    if (channels_pitch(c) != pitch_of(c)) return false;
  return true;
}());

int weight_gradient_parts(const ConvGeometry& g) {
  constexpr int kBlocks = 528, kLeastSteps = 8;  // twice what the largest GPU holds at a time; steps of 32 rows
  const int outputs = weight_gradient_outputs(g), columns = (g.taps() * g.pitch() + 127) / 128;
  const int tiles = std::max(1, (g.out_pitch() + outputs - 1) / outputs * columns);
  const int steps = (g.out_rows() + 31) / 32, most = std::max(1, steps / kLeastSteps);
  const int parts = std::clamp((kBlocks + tiles - 1) / tiles, 1, most);
  const int of_part = std::max(1, (steps + parts - 1) / parts);  // no part without rows
  return std::max(1, (steps + of_part - 1) / of_part);
}

int64_t weight_gradient_workspace(const ConvGeometry& g) {
  return static_cast<int64_t>(weight_gradient_parts(g)) * g.out_pitch() * g.taps() * g.pitch();
}

int sum_parts(int64_t rows) { return static_cast<int>((rows + sum_rows_of_part(rows) - 1) / sum_rows_of_part(rows)); }

int conv_sum_parts(const ConvGeometry& g) {
  const int rows = conv_tile(g.out_rows(), g.out_pitch(), g.least_blocks).rows;
  return (g.out_rows() + rows - 1) / rows;
}

const DeviceOps& device_ops(const Device& device) {
  return device.simulated() ? simulated::kDeviceOps : KB_GPU_SIDE::kDeviceOps;
}

}  // namespace kronbit::nn
