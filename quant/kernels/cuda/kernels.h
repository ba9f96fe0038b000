// What a GPU's kernels are told, in plain numbers and pointers: nvcc reads this header. table.cpp fills it in from the
// contract, device_product.h.
#pragma once

#include <cstdint>

#include "quant/kernels/row_form.h"
#include "tensor/cuda/queue.h"
#include "tensor/cuda/side.h"

namespace kronbit::quant {

/// As PackDeviceRows.
struct PackArguments {
  const float* x;
  int64_t pitch, rows;
  RowForm form;
  int blocks, bits;
  bool is_signed;
  void* mantissas;
  float* steps;
  int32_t* sums;
};

inline constexpr int kMaxDeviceTaps = 64;  ///< of a convolution, where a kernel keeps them as bits of a word

/// As DeviceKernel::run.
struct ProductArguments {
  int height, width, images;  ///< of the input
  int out_width, out_rows;
  int kernel_h, kernel_w, stride, pad;
  int blocks;  ///< of 32 channels
  int panels;  ///< of 16 outputs, an even number
  int weight_bits, input_bits;
  bool binary, input_signed;
  const void* weights;
  const void* mantissas;
  const float* steps;
  const int32_t* sums;
  float* y;
  int64_t pitch;
  int tile;  ///< 0: chosen by the kernel; else one of its tiles, counted from 1, where it has several
};

using StartPack = void(const PackArguments& arguments, const DeviceQueue& queue);
using StartProduct = void(const ProductArguments& arguments, const DeviceQueue& queue);

/// One per file of this folder; they begin the work.
namespace KB_GPU_SIDE {
StartPack pack_rows;
StartProduct int8_product, bitserial_product, dp4a_product, bf16_product, bf16_split_product;
}  // namespace KB_GPU_SIDE
namespace simulated {
StartPack pack_rows;
StartProduct int8_product, bitserial_product, dp4a_product, bf16_product, bf16_split_product;
}  // namespace simulated

}  // namespace kronbit::quant
