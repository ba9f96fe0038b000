// From rows of FP32 activations to the forms the block products read: block floating point of 32 channels, step by step
// as quantizer.h defines it, packed in the same pass. For rows that an operator has just computed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "quant/kernels/block_product.h"

namespace kronbit::quant {

/// Where packed rows go: the writable side of a RowsView.
struct RowsOut {
  RowForm form = RowForm::Bytes;
  ActivationFormat format;  ///< block = 32
  int64_t blocks = 0;       ///< of a whole row
  std::byte* mantissas = nullptr;
  float* steps = nullptr;
  int32_t* sums = nullptr;
  RowsView view() const { return {form, format, blocks, mantissas, steps, sums}; }
  /// Bytes that `rows` rows take: mantissas (a multiple of 64), then the number of steps and of sums.
  int64_t mantissa_bytes(int64_t rows) const { return (rows * view().row_bytes() + 63) / 64 * 64; }
};

/// Quantizes and packs blocks first_block .. first_block + blocks - 1 of rows first_row .. first_row + rows - 1.
/// Formula:  as quantize_activations(): mantissa = clamp(round_half_even(x / step), lowest, highest)
/// Shapes:   x[r * pitch + i]: channel 32 * first_block + i of row first_row + r; lanes beyond the channels are zero
/// Exactness: all variants write the same bytes: mantissas and exponents are those of activation_mantissas(). A block
///           that is not finite, a single NaN being enough, gets a NaN step and zero mantissas (Bf16: NaNs). Bf16 is
///           exact down to steps of 2^-133, rounded below.
/// Bf16 has neither steps nor sums: to.steps and to.sums are not used. Where rows follow one another without gaps
/// (pitch == 32 * blocks, blocks == to.blocks) or many blocks are given at once, it is fastest.
/// One thread, no allocation.
using PackRows = void (*)(const float* x, int64_t pitch, int64_t rows, int64_t blocks, const RowsOut& to,
                          int64_t first_row, int64_t first_block);

struct RowPacker {
  std::string_view name, needs;
  bool (*supported)();
  PackRows pack;
};
std::span<const RowPacker> row_packers();  ///< best first, the reference last
const RowPacker& best_row_packer();        ///< the first supported one

extern const RowPacker kPackRowsAvx512Gfni, kPackRowsAvx512, kPackRowsAvx2, kPackRowsReference;

}  // namespace kronbit::quant
