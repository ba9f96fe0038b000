// The weights of one convolution as bit planes and multipliers: what the low-bit kernels read and a packed file holds.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "quant/quantizer.h"
#include "quant/size.h"

namespace kronbit::quant {

/// Bit planes: plane p of a block holds bit p of the two's complement of its integers; lane i of the block (channel
/// first + i) is bit i mod 8 of byte i / 8. The top plane counts -2^(b-1), the others +2^p. Binary has one plane: a set
/// bit is -1, a clear one +1. The lanes that fill up the last byte are 0.
///
///   planes       [O][kh][kw] of positions, each:
///                | block 0: plane 0 .. plane b-1 | block 1: ... | last block: shorter planes when C is no multiple |
///   multipliers  [O][kh][kw][blocks]
struct PackedLayer {
  std::string name;  ///< of the node: "layer1.0.conv1"
  Shape shape;       ///< [O, C, kh, kw]
  int bits = 8;
  Mode mode = Mode::SignedExtreme;  ///< in force at these bits: binary when signed-extreme was asked for at 1
  int64_t block = kBlock;
  MultiplierFormat format = MultiplierFormat::F16;  ///< never Auto; every multiplier is a number of this format
  std::vector<uint8_t> planes;
  std::vector<float> multipliers;

  int64_t blocks() const { return (shape[1] + block - 1) / block; }  ///< per position
  int64_t positions() const { return shape[0] * shape[2] * shape[3]; }
  int64_t lanes(int64_t k) const { return std::min(block, shape[1] - k * block); }  ///< channels of block k
  int64_t position_bytes() const;                                                   ///< of the planes of one position
  int64_t bytes() const;                                                            ///< planes and multipliers
};

/// Throws: InputError naming the layer when a multiplier is not finite, or does not fit `format`: beyond its largest
///         number, or (FP16) so small that BF16 would keep it better.
PackedLayer pack_layer(std::string name, const QuantizedWeights& weights, MultiplierFormat format);

/// The integers of the block that starts at `planes`: lanes numbers.
void unpack_block(const uint8_t* planes, int64_t lanes, int bits, Mode mode, int8_t* integers);
QuantizedWeights unpack(const PackedLayer& layer);

/// Whether the lanes beyond the channels are all 0, as the format demands.
bool padding_is_zero(const PackedLayer& layer);

/// IEEE half precision, rounded half to even; infinity from 65520 on. The inverse of float_of_f16().
uint16_t f16_of_float(float value);
/// The bytes of the multipliers in their format.
std::vector<std::byte> encode_multipliers(const PackedLayer& layer);

}  // namespace kronbit::quant
