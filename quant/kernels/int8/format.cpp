#include "quant/kernels/int8/format.h"

#include "quant/kernels/pack_blocks.h"

namespace kronbit::quant::int8 {

int64_t packed_bytes(const LayerShape& shape) { return shape.panels() * shape.taps * shape.blocks() * kBlockBytes; }

void pack(const LayerShape& shape, const PackedLayer& layer, int64_t first_panel, int64_t panels, std::byte* to) {
  const int added = shape.activations.is_signed ? bias(shape) : 0;
  clear_panels(shape, packed_bytes(shape), first_panel, panels, to);
  for_each_block(shape, layer, first_panel, panels,
                 [&](int64_t at, int64_t o, const uint8_t* planes, int64_t lanes, float multiplier) {
                   std::byte* block = to + at * kBlockBytes + 4 * o;
                   auto q = integers_of(layer, planes, lanes);
                   for (int8_t& lane : q) lane = static_cast<int8_t>(lane + added);
                   for (int64_t step = 0; step < kSteps; ++step)
                     std::memcpy(block + step * kStepBytes, q.data() + 4 * step, 4);
                   std::memcpy(block + kSteps * kStepBytes, &multiplier, 4);
                 });
}

}  // namespace kronbit::quant::int8
