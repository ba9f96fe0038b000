// What a packed network does on a device between its block products: kernels with the arithmetic of the processor's
// steps (quant/engine/steps.h), so that a network's outputs have the same bits on both. Plain numbers and pointers
// only: nvcc reads this header.
#pragma once

#include <cstdint>

#include "tensor/cuda/side.h"

namespace kronbit::quant {

/// An FP32 convolution: of the image, and (as 1x1 on a map of one pixel) a linear layer.
/// Formula:  y[row][o] = fma(x, w, y) over taps in order (ky, kx) and channels in order, starting at 0
/// Shapes:   x [height][width][images] rows of x_pitch; w [tap][channel][out_lanes]; y rows of out_lanes
struct DenseStep {
  const float *x, *w;
  float* y;
  int64_t x_pitch;
  int height, width, images, channels, out_lanes;
  int kernel_h, kernel_w, stride, pad, out_height, out_width;
};

/// Formula:  y = x * scale + shift [+ residual], then ReLU; each operation rounded. scale null: y = x [+ residual].
/// y may be x. All rows are `lanes` apart.
struct RowwiseStep {
  const float *x, *scale, *shift, *residual;
  float* y;
  int64_t rows;
  int lanes;
  bool relu;
};

/// The part of a window inside the map along one axis, and its length up to the padded border (nn::PoolWindow).
struct DeviceWindow {
  int begin, end, padded_length;
};

/// Maxima (NaN if one is NaN) or means of windows. down [out_height], across [out_width].
struct PoolStep {
  const float* x;
  float* y;
  const DeviceWindow *down, *across;
  int width, out_height, out_width;
  int64_t lanes;  ///< of a pixel: images * numbers of a row
  bool maximum, count_include_pad;
};

/// y[(h, w, n)][first + c] = x[(h stride, w stride, n)][c] for c < channels: a part of a concatenation, or shortcut A.
struct GatherStep {
  const float* x;
  float* y;
  int64_t x_pitch, y_pitch;
  int width, images, out_height, out_width, stride, channels, first;
};

/// y[n][c * pixels + p] = x[(p, n)][c]
struct FlattenStep {
  const float* x;
  float* y;
  int64_t x_pitch, y_pitch;
  int pixels, images, channels;
};

/// The kernels of one side; they begin the work on a stream (Device::stream()).
struct DeviceSteps {
  void (*dense)(const DenseStep& step, void* stream);
  void (*rowwise)(const RowwiseStep& step, void* stream);
  void (*pool)(const PoolStep& step, void* stream);
  void (*gather)(const GatherStep& step, void* stream);
  void (*flatten)(const FlattenStep& step, void* stream);
};
namespace KB_GPU_SIDE {
extern const DeviceSteps kDeviceSteps;
}
namespace simulated {
extern const DeviceSteps kDeviceSteps;
}

}  // namespace kronbit::quant
