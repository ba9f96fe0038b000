// How the work of the larger operators is cut: what kernels and the sizes of their workspace agree on. By shapes only.
// Private to the folder.
#pragma once

#include "nn/cuda/device_ops.h"

namespace kronbit::nn {

/// The part of a result that a block of the convolution makes.
struct ConvTile {
  int rows, columns;
};
/// Narrow results take narrow tiles; where large tiles would be too few to fill a GPU, smaller ones.
constexpr ConvTile conv_tile(int rows, int out_pitch, int least_blocks) {
  if (out_pitch <= 16) return {128, 16};
  if (out_pitch <= 32) return {128, 32};
  const int columns = out_pitch <= 64 ? 64 : 128;
  const int64_t blocks = (static_cast<int64_t>(rows) + 127) / 128 * ((out_pitch + columns - 1) / columns);
  return blocks < least_blocks ? ConvTile{64, 64} : ConvTile{128, columns};
}

/// Outputs of a block of the weights' gradient.
constexpr int weight_gradient_outputs(const ConvGeometry& g) {
  const int pitch = g.out_pitch();
  return pitch <= 16 ? 16 : pitch <= 32 ? 32 : pitch <= 64 ? 64 : 128;
}

/// Rows that are summed alone before the parts are: at least 64, and at most 1024 parts.
constexpr int64_t sum_rows_of_part(int64_t rows) {
  const int64_t even = (rows + 1023) / 1024;
  return even < 64 ? 64 : even;
}

}  // namespace kronbit::nn
