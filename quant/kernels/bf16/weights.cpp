#include "quant/kernels/bf16/weights.h"

#include <algorithm>
#include <array>

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
  const int64_t blocks = shape.blocks();
  auto* tiles = reinterpret_cast<bf16*>(to);
  for (int64_t o = 16 * first_panel; o < 16 * (first_panel + panels); ++o) {
    for (int64_t t = 0; t < shape.taps; ++t) {
      const int64_t position = o * shape.taps + t;  // read only if there is such an output
      int64_t plane = position * layer.position_bytes();
      for (int64_t k = 0; k < blocks; ++k) {
        std::array<int8_t, 32> integers{};
        float multiplier = 0;
        if (o < shape.outputs) {
          unpack_block(layer.planes.data() + plane, layer.lanes(k), layer.bits, layer.mode, integers.data());
          multiplier = layer.multipliers[static_cast<size_t>(position * blocks + k)];
          plane += layer.bits * ((layer.lanes(k) + 7) / 8);
        }
        fold<kSplit>(integers, multiplier, o % 16, tiles + ((o / 16 * shape.taps + t) * blocks + k) * kNumbers);
      }
    }
  }
}

template int64_t folded_bytes<false>(const LayerShape&);
template int64_t folded_bytes<true>(const LayerShape&);
template void pack_folded<false>(const LayerShape&, const PackedLayer&, int64_t, int64_t, std::byte*);
template void pack_folded<true>(const LayerShape&, const PackedLayer&, int64_t, int64_t, std::byte*);

}  // namespace kronbit::quant
