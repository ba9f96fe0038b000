#include "quant/kernels/int8/format.h"

#include <cstring>

namespace kronbit::quant::int8 {

int64_t packed_bytes(const LayerShape& shape) { return shape.panels() * shape.taps * shape.blocks() * kBlockBytes; }

void pack(const LayerShape& shape, const PackedLayer& layer, int64_t first_panel, int64_t panels, std::byte* to) {
  const int64_t blocks = shape.blocks(), position_bytes = layer.position_bytes();
  const int added = shape.activations.is_signed ? bias(shape) : 0;
  to += first_panel * shape.taps * blocks * kBlockBytes;
  std::memset(to, 0, static_cast<size_t>(panels * shape.taps * blocks * kBlockBytes));
  const int64_t last = std::min(shape.outputs, 16 * (first_panel + panels));
  for (int64_t o = 16 * first_panel; o < last; ++o) {
    const uint8_t* planes = layer.planes.data() + o * shape.taps * position_bytes;
    const float* multiplier = layer.multipliers.data() + o * shape.taps * blocks;
    std::byte* block = to + (o / 16 - first_panel) * shape.taps * blocks * kBlockBytes;
    for (int64_t i = 0; i < shape.taps * blocks; ++i, block += kBlockBytes) {
      const int64_t lanes = layer.lanes(i % blocks);
      alignas(32) int8_t q[32] = {};
      unpack_block(planes, lanes, layer.bits, layer.mode, q);
      planes += layer.bits * ((lanes + 7) / 8);
      for (int8_t& lane : q) lane = static_cast<int8_t>(lane + added);
      for (int64_t step = 0; step < kSteps; ++step)
        std::memcpy(block + step * kStepBytes + 4 * (o % 16), q + 4 * step, 4);
      std::memcpy(block + kSteps * kStepBytes + 4 * (o % 16), multiplier + i, 4);
    }
  }
}

}  // namespace kronbit::quant::int8
