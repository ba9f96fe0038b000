#include "quant/kernels/bitserial/planes.h"

#include <algorithm>
#include <cstring>

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
  const int64_t blocks = shape.blocks(), block_bytes = packed_block_bytes(shape.bits);
  const int64_t panel_bytes = shape.taps * blocks * block_bytes;
  std::memset(to + first_panel * panel_bytes, 0, static_cast<size_t>(panels * panel_bytes));
  for (int64_t o = 16 * first_panel; o < std::min(16 * (first_panel + panels), shape.outputs); ++o) {
    const uint8_t* planes = layer.planes.data() + o * shape.taps * layer.position_bytes();
    const float* multipliers = layer.multipliers.data() + o * shape.taps * blocks;
    std::byte* at = to + o / 16 * panel_bytes + 4 * (o % 16);
    for (int64_t i = 0; i < shape.taps * blocks; ++i, at += block_bytes) {
      const int64_t bytes = (layer.lanes(i % blocks) + 7) / 8;
      for (int p = 0; p < shape.bits; ++p, planes += bytes)
        std::memcpy(at + 64 * p, planes, static_cast<size_t>(bytes));  // little-endian: lane l is bit l of the word
      std::memcpy(at + 64 * shape.bits, multipliers + i, 4);
    }
  }
}

}  // namespace kronbit::quant::bitserial
