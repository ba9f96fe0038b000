#include "quant/kernels/cuda/fragments.h"

#include "quant/kernels/pack_blocks.h"

namespace kronbit::quant {
namespace {

constexpr int64_t kInt8Block = 32 * 16 + 16 * 4;
constexpr int64_t kBf16Part = 2 * 32 * 8;  ///< numbers

int64_t blocks_of(const LayerShape& shape) { return shape.panels() * shape.taps * shape.blocks(); }

/// The lane that has channel c of an output, and the place there, when a word holds kPer channels.
struct Place {
  int64_t lane, number;
};
template <int64_t kPer>
Place place_of(int64_t o, int64_t c) {
  const int64_t half = c / (4 * kPer);
  return {o % 8 * 4 + c / kPer % 4, (o / 8 * 2 + half) * kPer + c % kPer};
}

}  // namespace

int64_t int8_fragments_bytes(const LayerShape& shape) { return blocks_of(shape) * kInt8Block; }

void pack_int8_fragments(const LayerShape& shape, const PackedLayer& layer, std::byte* to) {
  std::memset(to, 0, static_cast<size_t>(int8_fragments_bytes(shape)));
  for_each_block(shape, layer, 0, shape.panels(),
                 [&](int64_t block, int64_t o, const uint8_t* planes, int64_t lanes, float multiplier) {
                   const auto integers = integers_of(layer, planes, lanes);
                   std::byte* at = to + block * kInt8Block;
                   for (int64_t c = 0; c < 32; ++c) {
                     const Place place = place_of<4>(o, c);
                     at[16 * place.lane + place.number] = static_cast<std::byte>(integers[static_cast<size_t>(c)]);
                   }
                   std::memcpy(at + 32 * 16 + 4 * o, &multiplier, 4);
                 });
}

template <bool kSplit>
int64_t bf16_fragments_bytes(const LayerShape& shape) {
  return blocks_of(shape) * (kSplit ? 2 : 1) * kBf16Part * 2;
}

template <bool kSplit>
void pack_bf16_fragments(const LayerShape& shape, const PackedLayer& layer, std::byte* to) {
  std::memset(to, 0, static_cast<size_t>(bf16_fragments_bytes<kSplit>(shape)));
  auto* numbers = reinterpret_cast<bf16*>(to);
  for_each_block(shape, layer, 0, shape.panels(),
                 [&](int64_t block, int64_t o, const uint8_t* planes, int64_t lanes, float multiplier) {
                   const auto integers = integers_of(layer, planes, lanes);
                   bf16* at = numbers + block * (kSplit ? 2 : 1) * kBf16Part;
                   for (int64_t c = 0; c < 32; ++c) {
                     const Place place = place_of<2>(o, c % 16);
                     bf16* hi = at + (c / 16 * 32 + place.lane) * 8 + place.number;
                     const float weight = multiplier * static_cast<float>(integers[static_cast<size_t>(c)]);
                     *hi = bf16(weight);
                     if constexpr (kSplit) hi[kBf16Part] = bf16(weight - static_cast<float>(*hi));
                   }
                 });
}

template int64_t bf16_fragments_bytes<false>(const LayerShape&);
template int64_t bf16_fragments_bytes<true>(const LayerShape&);
template void pack_bf16_fragments<false>(const LayerShape&, const PackedLayer&, std::byte*);
template void pack_bf16_fragments<true>(const LayerShape&, const PackedLayer&, std::byte*);

}  // namespace kronbit::quant
