// The loop that all packers of weights share. Private to quant/kernels/.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>

#include "quant/kernels/block_product.h"

namespace kronbit::quant {

/// Calls use(at, o, planes, lanes, multiplier) for all blocks of the outputs in some panels: `at` counts blocks
/// [panel][tap][block], o is the output within its panel (those beyond the last one are left out), `planes` are the
/// block's, as packed_layer.h draws them.
template <class Use>
void for_each_block(const LayerShape& shape, const PackedLayer& layer, int64_t first_panel, int64_t panels,
                    const Use& use) {
  const int64_t blocks = shape.blocks(), of_output = shape.taps * blocks;
  const int64_t first = std::min(16 * first_panel, shape.outputs);
  const uint8_t* planes = layer.planes.data() + first * shape.taps * layer.position_bytes();
  const float* multiplier = layer.multipliers.data() + first * of_output;
  for (int64_t o = first; o < std::min(shape.outputs, first + 16 * panels); ++o) {
    for (int64_t i = 0; i < of_output; ++i, ++multiplier) {
      const int64_t lanes = layer.lanes(i % blocks);
      use(o / 16 * of_output + i, o % 16, planes, lanes, *multiplier);
      planes += layer.bits * ((lanes + 7) / 8);
    }
  }
}

/// The integers of a block; lanes beyond the channels are 0.
inline std::array<int8_t, 32> integers_of(const PackedLayer& layer, const uint8_t* planes, int64_t lanes) {
  std::array<int8_t, 32> integers{};
  unpack_block(planes, lanes, layer.bits, layer.mode, integers.data());
  return integers;
}

/// Zeros for some panels of all, which take `bytes`.
inline void clear_panels(const LayerShape& shape, int64_t bytes, int64_t first_panel, int64_t panels, std::byte* to) {
  const int64_t of_panel = bytes / std::max<int64_t>(1, shape.panels());
  std::memset(to + first_panel * of_panel, 0, static_cast<size_t>(panels * of_panel));
}

}  // namespace kronbit::quant
