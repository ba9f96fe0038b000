#include "quant/kernels/packed/format.h"

#include <algorithm>
#include <cstring>

namespace kronbit::quant::packed {
namespace {

/// The integers of one output in one block, to its 4 bytes of every line.
void pack_block(const uint32_t* planes, int bits, std::byte* to) {
  for (const Part& part : parts_of(bits)) {
    if (part.bits == 0) break;
    for (int line = 0; line < part.bits; ++line, to += 64) {
      uint32_t word = 0;
      for (int s = 0; s < part.steps(); ++s) {
        for (int i = 0; i < part.bits; ++i) {
          const uint32_t four = planes[part.first_bit + i] >> (4 * (line * part.steps() + s)) & 15;
          const uint32_t apart = four * 0x204081 & 0x01010101;  // bit l to bit 8 l
          word |= apart << (s * part.bits + i);
        }
      }
      std::memcpy(to, &word, 4);
    }
  }
}

}  // namespace

int64_t packed_bytes(const LayerShape& shape) {
  return shape.panels() * shape.taps * shape.blocks() * block_bytes(shape);
}

void pack(const LayerShape& shape, const PackedLayer& layer, int64_t first_panel, int64_t panels, std::byte* to) {
  const int64_t blocks = shape.blocks(), panel_bytes = shape.taps * blocks * block_bytes(shape);
  to += first_panel * panel_bytes;
  std::memset(to, 0, static_cast<size_t>(panels * panel_bytes));
  const int64_t last = std::min(shape.outputs, 16 * (first_panel + panels));
  for (int64_t o = 16 * first_panel; o < last; ++o) {
    const uint8_t* from = layer.planes.data() + o * shape.taps * layer.position_bytes();
    const float* multiplier = layer.multipliers.data() + o * shape.taps * blocks;
    std::byte* block = to + (o / 16 - first_panel) * panel_bytes + 4 * (o % 16);
    for (int64_t i = 0; i < shape.taps * blocks; ++i, block += block_bytes(shape)) {
      const int64_t plane_bytes = (layer.lanes(i % blocks) + 7) / 8;
      uint32_t planes[8] = {};
      for (int p = 0; p < shape.bits; ++p, from += plane_bytes)
        std::memcpy(planes + p, from, static_cast<size_t>(plane_bytes));
      planes[shape.bits - 1] = ~planes[shape.bits - 1];
      pack_block(planes, shape.bits, block);
      std::memcpy(block + 64 * shape.bits, multiplier + i, 4);
    }
  }
}

}  // namespace kronbit::quant::packed
