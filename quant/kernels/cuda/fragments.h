// Weights in the order in which the lanes of a warp hold them for tensor cores (tensor/cuda/tensor_core.h): one load of
// 16 bytes for each lane brings both operands of 16 outputs. Lane 4 g + t.
//
//   int8  [panel][tap][block]: 32 lanes x 16 bytes, then the multipliers of the 16 outputs, float
//           lane: | output g: channels 4t .. 4t+3 | g: 16+4t .. | g+8: 4t .. | g+8: 16+4t .. |
//   bf16  [panel][tap][block], multiplier * integer, hi and (split) behind it lo as in kernels/bf16/weights.h, each:
//           [channels 0..15 or 16..31] of 32 lanes x 8 numbers
//           lane: | output g: channels 2t, 2t+1 | g: 8+2t, 9+2t | g+8: 2t, 2t+1 | g+8: 8+2t, 9+2t |
#pragma once

#include "quant/kernels/block_product.h"

namespace kronbit::quant {

int64_t int8_fragments_bytes(const LayerShape& shape);
void pack_int8_fragments(const LayerShape& shape, const PackedLayer& layer, std::byte* to);

template <bool kSplit>
int64_t bf16_fragments_bytes(const LayerShape& shape);
template <bool kSplit>
void pack_bf16_fragments(const LayerShape& shape, const PackedLayer& layer, std::byte* to);

}  // namespace kronbit::quant
