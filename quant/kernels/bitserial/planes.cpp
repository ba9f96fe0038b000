#include "quant/kernels/bitserial/planes.h"

#include "quant/kernels/pack_blocks.h"

namespace kronbit::quant::bitserial {
namespace {

/// What a set bit of plane p counts.
int plane_value(int p, int planes, bool is_signed) { return is_signed && p == planes - 1 ? -(1 << p) : 1 << p; }

}  // namespace

PlaneProducts plane_products(const LayerShape& shape, const ActivationFormat& inputs) {
  PlaneProducts products{shape.bits, inputs.bits, shape.mode == Mode::Binary, {}};
  for (int i = 0; i < shape.bits; ++i) {
    const int c = shape.mode == Mode::Binary ? -2 : plane_value(i, shape.bits, true);
    for (int j = 0; j < inputs.bits; ++j) {
      const auto half = static_cast<uint16_t>(c * plane_value(j, inputs.bits, inputs.is_signed));
      products.coefficients[i * inputs.bits + j] = static_cast<int32_t>(half * 0x10001u);
    }
  }
  return products;
}

int64_t packed_bytes(const LayerShape& shape) {
  return shape.panels() * shape.taps * shape.blocks() * packed_block_bytes(shape.bits);
}

void pack(const LayerShape& shape, const PackedLayer& layer, int64_t first_panel, int64_t panels, std::byte* to) {
  clear_panels(shape, packed_bytes(shape), first_panel, panels, to);
  for_each_block(shape, layer, first_panel, panels,
                 [&](int64_t at, int64_t o, const uint8_t* planes, int64_t lanes, float multiplier) {
                   std::byte* block = to + at * packed_block_bytes(shape.bits) + 4 * o;
                   const int64_t bytes = (lanes + 7) / 8;
                   for (int p = 0; p < shape.bits; ++p)  // little-endian: lane l is bit l of the word
                     std::memcpy(block + 64 * p, planes + p * bytes, static_cast<size_t>(bytes));
                   std::memcpy(block + 64 * shape.bits, &multiplier, 4);
                 });
}

}  // namespace kronbit::quant::bitserial
