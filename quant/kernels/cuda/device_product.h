// The block-scaled product on a GPU: the contract of the kernels in this folder, as block_product.h is for the
// processor. The formula, the order of sums and so the bits of exact kernels are the same; a call computes a whole
// convolution, and a thread finds its input rows from the geometry instead of from lists.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "nn/ops/conv2d.h"
#include "quant/kernels/block_product.h"
#include "quant/kernels/cuda/kernels.h"
#include "tensor/cuda/device.h"

namespace kronbit::quant {

/// One convolution of a packed network on `images` maps of height x width.
/// Rows:     input row (h * width + w) * images + n, output row (h' * out_width + w') * images + n
struct DeviceConv {
  LayerShape layer;
  nn::Conv2dOptions conv;
  int64_t height = 0, width = 0, images = 0;
  int tile = 0;  ///< of the kernel's tiles, from 1, small to large; 0: as fits the number of rows and the device
  int64_t out_height() const { return (height + 2 * conv.pad - conv.kernel_h) / conv.stride + 1; }
  int64_t out_width() const { return (width + 2 * conv.pad - conv.kernel_w) / conv.stride + 1; }
  int64_t in_rows() const { return height * width * images; }
  int64_t out_rows() const { return out_height() * out_width() * images; }
};

/// Quantized activations in the device's memory; forms as RowsView. No row of zeros is needed.
struct DeviceRows {
  RowForm form = RowForm::Bytes;
  ActivationFormat format;
  int64_t blocks = 0;  ///< of a row
  void* mantissas = nullptr;
  float* steps = nullptr;   ///< [row][block]; not for Bf16
  int32_t* sums = nullptr;  ///< [row][block]; not for Bf16
};

/// One way to compute the convolution.
/// Formula, order and exactness: BlockKernel's: taps in order (ky, kx), those outside the image left out; blocks in
///           order; y = fma(float(dot), multiplier * step, y), starting at 0. (Kernels may count taps outside the
///           image as rows of zeros, as the processor does: it shows in the sign of a sum that underflowed to 0.)
/// Shapes:   y[row * pitch + o] for o < 32 * ceil(outputs / 32): outputs beyond layer.outputs become 0
struct DeviceKernel {
  std::string_view name;    ///< "int8-cuda"
  std::string_view family;  ///< "int8"
  bool exact = true;
  RowForm form = RowForm::Bytes;
  int tiles = 1;  ///< sizes of the part of the result that a block of threads computes
  /// nullptr when it can run such a convolution, else why not.
  const char* (*declines)(const DeviceConv& conv) = [](const DeviceConv&) -> const char* { return nullptr; };
  int64_t (*packed_bytes)(const LayerShape& shape);
  /// On the host; the bytes are then uploaded as they are.
  void (*pack)(const LayerShape& shape, const PackedLayer& layer, std::byte* to);
  /// Begins the work. y aligned to 16 bytes, pitch a multiple of 4.
  void (*run)(const DeviceConv& conv, const void* weights, const DeviceRows& x, float* y, int64_t pitch,
              const DeviceQueue& queue);
};

/// Quantizes and packs rows of numbers: the same bytes as RowPacker's.
/// Shapes:   x[row * pitch + channel], 32 * blocks numbers of every row are read; less than 2^32 blocks in all
using PackDeviceRows = void (*)(const float* x, int64_t pitch, int64_t rows, const DeviceRows& to,
                                const DeviceQueue& queue);

/// The kernels of a device, best guess first.
struct DeviceKernels {
  std::span<const DeviceKernel* const> products;
  PackDeviceRows pack_rows = nullptr;
};
DeviceKernels device_kernels(const Device& device);

}  // namespace kronbit::quant
