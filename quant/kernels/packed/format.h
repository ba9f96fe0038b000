// The weights of the packed kernels: as many bits per weight as they have, and a multiplier, for layers whose weights
// do not stay in the cache. Rows are bytes as for int8/. The contract is in block_product.h.
#pragma once

#include <array>

#include "quant/kernels/block_product.h"

namespace kronbit::quant::packed {

/// Packed weights, [panel][tap][block] of `bits` + 1 cache lines: bits * 64 bytes of integers, 16 multipliers.
///
/// A step is 4 channels, 8 steps make a block; byte 4 o + l of a line belongs to output o and channel 4 step + l. The
/// bits of an integer are cut into parts of 4, 2 and 1 bits (8 are one part), lowest first: 7 = 4 + 2 + 1. A part of f
/// bits fills f lines; each has 8 / f steps, the first one in the lowest bits:
///
///   3 bits:  line 0: | bits 1 0 of step 3 | of step 2 | of step 1 | of step 0 |
///            line 1: | bits 1 0 of step 7 | of step 6 | of step 5 | of step 4 |
///            line 2: | bit 2 of step 7 | ... | bit 2 of step 0 |
///            line 3: multipliers
///
/// What is stored of a weight is q + 2^(bits-1), its planes with the top one flipped; binary: 1 for +1, 0 for -1.
inline int64_t block_bytes(const LayerShape& shape) { return 64 * (shape.bits + 1); }
int64_t packed_bytes(const LayerShape& shape);
void pack(const LayerShape& shape, const PackedLayer& layer, int64_t first_panel, int64_t panels, std::byte* to);

/// Some bits of an integer.
struct Part {
  int first_bit = 0, bits = 0;
  int steps() const { return 8 / bits; }  ///< of a line
};
/// The parts of a number of bits; those behind the last have 0 bits.
constexpr std::array<Part, 3> parts_of(int bits) {
  std::array<Part, 3> parts;
  int first = 0;
  size_t i = 0;
  for (int width = 8; width > 0; width /= 2) {
    if ((bits & width) == 0) continue;
    parts[i++] = {first, width};
    first += width;
  }
  return parts;
}

}  // namespace kronbit::quant::packed
