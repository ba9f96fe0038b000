#include "quant/kernels/bf16/weights.h"

#include "quant/kernels/pack_blocks.h"

namespace kronbit::quant {
namespace {

/// Writes the weights of output `o` (of 16) of one block to its tiles.
template <bool kSplit>
void fold(const std::array<int8_t, 32>& integers, float multiplier, int64_t o, bf16* tiles) {
  for (int64_t lane = 0; lane < 32; ++lane) {
    bf16* to = tiles + (lane / 2 * 16 + o) * 2 + lane % 2;
    const float weight = multiplier * static_cast<float>(integers[static_cast<size_t>(lane)]);
    to[0] = bf16(weight);
    if constexpr (kSplit) to[kFoldedTile] = bf16(weight - static_cast<float>(to[0]));
  }
}

}  // namespace

template <bool kSplit>
int64_t folded_bytes(const LayerShape& shape) {
  return shape.panels() * shape.taps * shape.blocks() * folded_parts(kSplit) * kFoldedTile * 2;
}

template <bool kSplit>
void pack_folded(const LayerShape& shape, const PackedLayer& layer, int64_t first_panel, int64_t panels,
                 std::byte* to) {
  constexpr int64_t kNumbers = folded_parts(kSplit) * kFoldedTile;
  clear_panels(shape, folded_bytes<kSplit>(shape), first_panel, panels, to);
  for_each_block(shape, layer, first_panel, panels,
                 [&](int64_t at, int64_t o, const uint8_t* planes, int64_t lanes, float multiplier) {
                   auto* tiles = reinterpret_cast<bf16*>(to) + at * kNumbers;
                   fold<kSplit>(integers_of(layer, planes, lanes), multiplier, o, tiles);
                 });
}

template int64_t folded_bytes<false>(const LayerShape&);
template int64_t folded_bytes<true>(const LayerShape&);
template void pack_folded<false>(const LayerShape&, const PackedLayer&, int64_t, int64_t, std::byte*);
template void pack_folded<true>(const LayerShape&, const PackedLayer&, int64_t, int64_t, std::byte*);

}  // namespace kronbit::quant
