// The block-scaled product under every deployed convolution: rows of quantized activations times packed weights, one
// scale per block of 32 channels. This header is the contract of all kernel families; each family (bitserial/, int8/,
// packed/, bf16/) has its weight format, its packer and one file per instruction set. block_product.cpp holds the
// ordered table and the reference that all are compared with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "quant/kernels/row_form.h"
#include "quant/packed_layer.h"
#include "quant/quantizer.h"

namespace kronbit::quant {

/// Quantized activations in memory. Bytes and Planes also have, for every block, the step (a power of two, 0 for a zero
/// block) and the sum of the mantissas.
/// Requires: `mantissas` aligned to 64 bytes; format.block == 32
struct RowsView {
  RowForm form = RowForm::Bytes;
  ActivationFormat format;
  int64_t blocks = 0;  ///< of a row
  const std::byte* mantissas = nullptr;
  const float* steps = nullptr;   ///< [row][block]
  const int32_t* sums = nullptr;  ///< [row][block]
  /// From one row to the next.
  int64_t row_bytes() const {
    return form == RowForm::Bytes ? 32 * blocks : form == RowForm::Planes ? 4 * format.bits * blocks : 64 * blocks;
  }
};

/// What a kernel has to know of a convolution.
struct LayerShape {
  int64_t outputs = 0, channels = 0, taps = 0;  ///< O, C, kh * kw
  int bits = 8;                                 ///< of the weights
  Mode mode = Mode::SignedExtreme;              ///< in force at these bits
  ActivationFormat activations;                 ///< block = 32
  int64_t blocks() const { return (channels + 31) / 32; }
  int64_t panels() const { return 2 * ((outputs + 31) / 32); }  ///< of 16 outputs; the last ones may be zeros
};

/// One tap of the kernel for a list of output rows: row r of them reads input row x_rows[r].
struct Tap {
  const int32_t* x_rows = nullptr;
  int64_t tap = 0;  ///< ky * kw + kx
};

/// What one call computes: `rows` output rows, `panels` panels of 16 outputs from `first_panel` on.
struct ProductSpec {
  std::span<const Tap> taps;
  int64_t rows = 0;
  int64_t first_panel = 0, panels = 0;
  float* y = nullptr;  ///< y[r * pitch + i]: output 16 * first_panel + i of row r; overwritten
  int64_t pitch = 0;   ///< >= 16 * panels
};

/// One way to compute the product, of any layer.
/// Formula:  y[r][o] = sum over taps (kernel position t, x_rows), blocks k of
///               multiplier[o][t][k] * step[x_rows[r]][k] * sum over lanes i of q[o][t][k i] m[x_rows[r]][k i]
/// Shapes:   weights as `pack` wrote them; x any number of rows
/// Exactness: exact kernels: the sum over a block is an int32; then, taps in the order given, blocks in order,
///               y = fma(float(dot), multiplier * step, y), starting at 0
///           so all of them give the same bits on every instruction set and for any cut into calls. Others say how far
///           they may be off.
/// Source:   paper §3.1
struct BlockKernel {
  std::string_view name;    ///< "int8-avx512vnni"
  std::string_view family;  ///< "int8"
  std::string_view needs;   ///< CPU features, as cpu_feature_list() spells them
  bool (*supported)();      ///< CPU and OS allow it, within limit_isa()
  bool exact = true;
  RowForm form = RowForm::Bytes;
  /// Bytes of the packed weights.
  int64_t (*packed_bytes)(const LayerShape& shape);
  /// Packs the outputs of panels first_panel .. first_panel + panels - 1 into `to`, the beginning of the whole. Panels
  /// are apart from each other, so several threads may pack at once. Requires: `to` aligned to 64 bytes
  void (*pack)(const LayerShape& shape, const PackedLayer& layer, int64_t first_panel, int64_t panels, std::byte* to);
  /// On the calling thread, without allocation.
  void (*run)(const LayerShape& shape, const std::byte* weights, const RowsView& x, const ProductSpec& spec);
};

/// All kernels, best guess first within a family; the references last.
std::span<const BlockKernel* const> block_kernels();
/// Throws: InputError listing the names.
const BlockKernel& find_block_kernel(std::string_view name);

/// The reference: reads like the formula. Its weights: the integers [panel][tap][block][16][32] int8, then the
/// multipliers [panel][tap][block][16] float.
extern const BlockKernel kBlockReference;

// Families, in their folders.
extern const BlockKernel kBitserialAvx512, kBitserialAvx2, kBitserialScalar;
extern const BlockKernel kInt8Avx512Vnni, kInt8AvxVnni, kInt8Avx2;
extern const BlockKernel kPackedAvx512Vnni, kPackedAvx2;  ///< weights stay bit planes: for few rows
extern const BlockKernel kBf16Amx, kBf16Avx512, kBf16SplitAmx, kBf16SplitAvx512;

}  // namespace kronbit::quant
