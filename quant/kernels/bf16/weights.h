// The weights of the bf16 kernels: multiplier * integer "folded" into one bf16 number, or into the sum of two (hi and
// lo). Activations are mantissa * step as bf16, which is exact, so that a product is a plain one of bf16 numbers,
// summed in f32 over all taps and blocks: no scale inside. Read block_product.h first. Private to the folder and its
// tests.
//
//   [panel][tap][block] of tiles: hi [16 pairs][16 outputs][2 lanes] bf16 = 1 KB, behind it (split) lo, the same
//
// which is B of an AMX product of tiles as well as, pair by pair, a vector of 16 outputs.
//
// How far a sum may be off, relative to the sum of the magnitudes of its terms:
//   folded   2^-8 (half a unit in the last of 8 bits), and the rounding of sums: 4e-3 in all
//   split    the same 2^-8 for hi, of which lo leaves 2^-17, and the rounding of sums: 1e-5 in all
// for up to 10^4 terms. Numbers below 2^-126 count as zero: weights, their lo parts, activations and products.
#pragma once

#include "quant/kernels/block_product.h"

namespace kronbit::quant {

inline constexpr int64_t kFoldedTile = 512;  ///< numbers of a tile

/// Tiles of one block of one panel.
constexpr int64_t folded_parts(bool split) { return split ? 2 : 1; }

template <bool kSplit>
int64_t folded_bytes(const LayerShape& shape);
/// As BlockKernel::pack.
template <bool kSplit>
void pack_folded(const LayerShape& shape, const PackedLayer& layer, int64_t first_panel, int64_t panels, std::byte* to);

}  // namespace kronbit::quant
