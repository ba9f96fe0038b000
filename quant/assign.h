// Bits for a network's layers: turns convolutions into quantized ones and back, in place; the FP32 shadow weights stay.
#pragma once

#include <optional>
#include <span>

#include "nn/network.h"
#include "quant/quantizer.h"
#include "tensor/bits.h"

namespace kronbit::quant {

struct AssignOptions {
  Mode mode = Mode::SignedExtreme;  ///< at 1 bit, signed-extreme means binary
  int64_t block = kBlock;
  bool activations = true;  ///< false: weights only
};

/// Bits of every convolution and how they are quantized.
struct Assignment {
  Bits bits;
  AssignOptions options;
};

/// Quantizes every convolution with its number of bits; may be called again with others. The input of a layer is
/// unsigned where the network's graph says that it cannot be negative, and not quantized where it is the image.
/// Units:    bits 1..8, one per layer in order of execution (nn::conv_layers)
/// Throws:   InputError for a list of the wrong length, a number out of range, or a mode that does not go with it
/// Source:   paper §3.1
void assign_bits(nn::Network& net, std::span<const int> bits, const AssignOptions& options = {});

/// Plain FP32 convolutions again.
void remove_bits(nn::Network& net);

/// What assign_bits() was last told; nothing for a network in FP32.
std::optional<Assignment> assignment_of(const nn::Network& net);
/// Its bits; empty for a network in FP32.
Bits current_bits(const nn::Network& net);

}  // namespace kronbit::quant
