#include "quant/kernels/packed/format.h"

#include "quant/kernels/pack_blocks.h"

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
  clear_panels(shape, packed_bytes(shape), first_panel, panels, to);
  for_each_block(shape, layer, first_panel, panels,
                 [&](int64_t at, int64_t o, const uint8_t* from, int64_t lanes, float multiplier) {
                   std::byte* block = to + at * block_bytes(shape) + 4 * o;
                   const int64_t bytes = (lanes + 7) / 8;
                   uint32_t planes[8] = {};
                   for (int p = 0; p < shape.bits; ++p)
                     std::memcpy(planes + p, from + p * bytes, static_cast<size_t>(bytes));
                   planes[shape.bits - 1] = ~planes[shape.bits - 1];
                   pack_block(planes, shape.bits, block);
                   std::memcpy(block + 64 * shape.bits, &multiplier, 4);
                 });
}

}  // namespace kronbit::quant::packed
