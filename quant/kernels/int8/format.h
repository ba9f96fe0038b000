// The weights of the int8 kernels: bytes in the order in which a dot product of four bytes reads them. One format for
// all three instruction sets. The contract is in block_product.h.
#pragma once

#include "quant/kernels/block_product.h"

namespace kronbit::quant::int8 {

/// Packed weights, [panel][tap][block] of kBlockBytes, a multiple of a cache line:
///
///   | step 0: output 0: channels 0 1 2 3 | output 1: 0 1 2 3 | ... | output 15: 0 1 2 3 |     64 bytes
///   | step 1: output 0: channels 4 5 6 7 | ...                                                64 bytes
///   | ... step 7: channels 28 .. 31                                                           64 bytes
///   | multipliers of the 16 outputs, float                                                    64 bytes
///
/// The instructions multiply an unsigned byte by a signed one. Unsigned activations meet the integers as they are;
/// for signed ones the weights are stored as q + bias >= 0, and
///   sum of q m = sum of (q + bias) m - bias * sum of m, the last of which every row brings along.
inline constexpr int64_t kStepBytes = 64;
inline constexpr int64_t kSteps = 8;
inline constexpr int64_t kBlockBytes = (kSteps + 1) * kStepBytes;

/// Bits of a two's complement number that holds the weights: binary has +1, which one bit does not.
inline int weight_bits(const LayerShape& shape) { return shape.mode == Mode::Binary ? 2 : shape.bits; }
/// That makes the integers unsigned numbers of as many bits.
inline int bias(const LayerShape& shape) { return 1 << (weight_bits(shape) - 1); }

int64_t packed_bytes(const LayerShape& shape);
void pack(const LayerShape& shape, const PackedLayer& layer, int64_t first_panel, int64_t panels, std::byte* to);

}  // namespace kronbit::quant::int8
