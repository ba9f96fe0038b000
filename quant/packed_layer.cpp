#include "quant/packed_layer.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "tensor/io/safetensors.h"

namespace kronbit::quant {
namespace {

// `value` as a number of `format`.
float rounded(float value, MultiplierFormat format) {
  switch (format) {
    case MultiplierFormat::F16:
      return float_of_f16(f16_of_float(value));
    case MultiplierFormat::BF16:
      return static_cast<float>(bf16(value));
    default:
      return value;
  }
}

// BF16 keeps 8 significant bits: a half that is further off, being subnormal or zero, is the worse choice.
bool keeps(float value, MultiplierFormat format) {
  const float kept = rounded(value, format);
  return std::isfinite(kept) && std::fabs(kept - value) <= 0x1p-8f * std::fabs(value);
}

constexpr uint64_t kOnes = 0x0101010101010101;  // a byte each

// Bit i of the index as byte i.
constexpr std::array<uint64_t, 256> kSpread = [] {
  std::array<uint64_t, 256> table{};
  for (size_t index = 0; index < table.size(); ++index)
    for (size_t i = 0; i < 8; ++i) table[index] |= static_cast<uint64_t>(index >> i & 1) << (8 * i);
  return table;
}();

// Eight integers at a time, as the bytes of a word; lanes beyond the channels are zero.
void pack_block(const int8_t* integers, int64_t lanes, int bits, Mode mode, uint8_t* planes) {
  const int64_t bytes = (lanes + 7) / 8;
  for (int64_t j = 0; j < bytes; ++j) {
    uint64_t word = 0;
    std::memcpy(&word, integers + 8 * j, static_cast<size_t>(std::min<int64_t>(8, lanes - 8 * j)));
    if (mode == Mode::Binary) word >>= 7;  // the sign
    // The factor brings bit 0 of byte i to bit 56 + i; no two products of bits meet.
    for (int p = 0; p < bits; ++p)
      planes[p * bytes + j] = static_cast<uint8_t>((word >> p & kOnes) * 0x0102040810204080 >> 56);
  }
}

// Calls use(planes of the block, lanes, index of its first integer in [O][kh][kw][C]) for every block.
template <class Layer, class Use>
void for_each_block(Layer& layer, const Use& use) {
  auto* planes = layer.planes.data();
  int64_t first = 0;
  for (int64_t position = 0; position < layer.positions(); ++position) {
    for (int64_t k = 0; k < layer.blocks(); ++k) {
      const int64_t lanes = layer.lanes(k);
      use(planes, lanes, first);
      planes += layer.bits * ((lanes + 7) / 8);
      first += lanes;
    }
  }
}

}  // namespace

int64_t PackedLayer::position_bytes() const {
  int64_t bytes = 0;
  for (int64_t k = 0; k < blocks(); ++k) bytes += bits * ((lanes(k) + 7) / 8);
  return bytes;
}

int64_t PackedLayer::bytes() const {
  return static_cast<int64_t>(planes.size()) + static_cast<int64_t>(multipliers.size()) * bytes_of(format);
}

PackedLayer pack_layer(std::string name, const QuantizedWeights& weights, MultiplierFormat format) {
  PackedLayer layer{std::move(name), weights.shape, weights.bits, weights.mode, weights.block, format, {}, {}};
  if (format == MultiplierFormat::Auto) {
    const bool half = std::all_of(weights.multipliers.begin(), weights.multipliers.end(),
                                  [](float m) { return keeps(m, MultiplierFormat::F16); });
    layer.format = half ? MultiplierFormat::F16 : MultiplierFormat::BF16;
  }
  for (float m : weights.multipliers) {
    if (!std::isfinite(m)) input_error("pack", "{}: a weight is not finite", layer.name);
    if (!keeps(m, layer.format)) {
      input_error("pack", "{}: multiplier {} does not fit {}; use {} multipliers", layer.name, m, name_of(layer.format),
                  layer.format == MultiplierFormat::F16 ? "bf16 or f32" : "f32");
    }
    layer.multipliers.push_back(rounded(m, layer.format));
  }
  layer.planes.resize(static_cast<size_t>(layer.positions() * layer.position_bytes()));
  for_each_block(layer, [&](uint8_t* planes, int64_t lanes, int64_t first) {
    pack_block(weights.integers.data() + first, lanes, layer.bits, layer.mode, planes);
  });
  return layer;
}

void unpack_block(const uint8_t* planes, int64_t lanes, int bits, Mode mode, int8_t* integers) {
  const int64_t bytes = (lanes + 7) / 8;
  const uint64_t sign = 0xff & (0xff << (bits - 1));  // what the top bit stands for, extended to the byte
  for (int64_t j = 0; j < bytes; ++j) {
    uint64_t word = kSpread[planes[(bits - 1) * bytes + j]] * sign;
    for (int p = 0; p < bits - 1; ++p) word |= kSpread[planes[p * bytes + j]] << p;
    if (mode == Mode::Binary) word = (word << 1 & ~kOnes) | kOnes;  // -1, 0 to -1, +1
    std::memcpy(integers + 8 * j, &word, static_cast<size_t>(std::min<int64_t>(8, lanes - 8 * j)));
  }
}

QuantizedWeights unpack(const PackedLayer& layer) {
  QuantizedWeights weights{layer.shape, layer.bits, layer.mode, layer.block, {}, layer.multipliers};
  weights.integers.resize(static_cast<size_t>(layer.shape.count()));
  for_each_block(layer, [&](const uint8_t* planes, int64_t lanes, int64_t first) {
    unpack_block(planes, lanes, layer.bits, layer.mode, weights.integers.data() + first);
  });
  return weights;
}

bool padding_is_zero(const PackedLayer& layer) {
  if (layer.shape[1] % 8 == 0 && layer.block % 8 == 0) return true;  // there is none
  bool zero = true;
  for_each_block(layer, [&](const uint8_t* planes, int64_t lanes, int64_t) {
    const int64_t bytes = (lanes + 7) / 8;
    if (lanes % 8 == 0) return;
    for (int p = 0; p < layer.bits; ++p) zero = zero && planes[(p + 1) * bytes - 1] >> (lanes % 8) == 0;
  });
  return zero;
}

uint16_t f16_of_float(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = bits >> 16 & 0x8000;
  uint32_t magnitude = bits & 0x7fffffff;
  const float a = std::bit_cast<float>(magnitude);
  if (std::isnan(value)) return static_cast<uint16_t>(sign | 0x7e00);
  if (a >= 65520) return static_cast<uint16_t>(sign | 0x7c00);
  if (a < 0x1p-14f) return static_cast<uint16_t>(sign | static_cast<uint32_t>(std::nearbyint(a * 0x1p24f)));
  magnitude += 0xfff + (magnitude >> 13 & 1);  // 13 bits fewer, half to even; a carry goes into the exponent
  return static_cast<uint16_t>(sign | (magnitude - (112u << 23)) >> 13);  // exponent bias 127 -> 15
}

std::vector<std::byte> encode_multipliers(const PackedLayer& layer) {
  std::vector<std::byte> bytes(layer.multipliers.size() * static_cast<size_t>(bytes_of(layer.format)));
  for (size_t i = 0; i < layer.multipliers.size(); ++i) {
    const float m = layer.multipliers[i];
    if (layer.format == MultiplierFormat::F32) {
      std::memcpy(bytes.data() + 4 * i, &m, 4);
    } else {
      const uint16_t half = layer.format == MultiplierFormat::F16 ? f16_of_float(m) : bf16(m).bits;
      std::memcpy(bytes.data() + 2 * i, &half, 2);
    }
  }
  return bytes;
}

}  // namespace kronbit::quant
