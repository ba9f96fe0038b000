// The small layer that every level computes: 64 rows, 128 channels, 9 taps, 64 outputs, weights and activations of one
// or two bits, in all the forms that the levels read. Row r reads input row r + t for tap t, so that no level needs
// lists of rows. Read the levels in the order of their numbers; each says in three lines what it adds.
#pragma once

#include <cmath>
#include <cstring>
#include <vector>

#include "quant/kernels/bitserial/planes.h"
#include "tensor/rng.h"

namespace kronbit::levels {

constexpr int64_t kRows = 64, kTaps = 9, kBlocks = 4, kChannels = 32 * kBlocks, kOutputs = 64;
constexpr int64_t kInputRows = kRows + kTaps - 1;

/// Where block k of tap t of output o lies, and block k of an input row; each is 32 channels with one scale.
inline int64_t weight_block(int64_t o, int64_t t, int64_t k) { return (o * kTaps + t) * kBlocks + k; }
inline int64_t input_block(int64_t row, int64_t k) { return row * kBlocks + k; }

struct alignas(64) Line {
  std::byte bytes[64];
};

struct Layer {
  explicit Layer(int layer_bits);

  int bits;                                         ///< of weights and of activations
  quant::LayerShape shape;                          ///< binary weights at 1 bit; unsigned activations
  quant::QuantizedWeights integers;                 ///< [output][tap][channel], and the multipliers of the blocks
  std::vector<uint8_t> mantissas;                   ///< [input row][channel]
  std::vector<float> steps;                         ///< [input row][block]
  std::vector<int32_t> sums;                        ///< of the mantissas, [input row][block]
  std::vector<float> weights, inputs;               ///< integer * multiplier, mantissa * step
  std::vector<uint32_t> weight_words, input_words;  ///< [block][bits]: bit l of word p is bit p of number l
  quant::bitserial::PlaneProducts products;         ///< what a common bit of two words counts
  std::vector<Line> packed;                         ///< the weights of 16 outputs side by side: bitserial::pack()

  /// The same as one integer: the value of a bit of weight plane i times that of input plane j.
  int value(int i, int j) const { return static_cast<int16_t>(products.coefficients[i * bits + j]); }
};

inline Layer::Layer(int layer_bits)
    : bits(layer_bits),
      shape{.outputs = kOutputs,
            .channels = kChannels,
            .taps = kTaps,
            .bits = bits,
            .mode = quant::mode_at(quant::Mode::SignedExtreme, bits),
            .activations = {bits, false}},
      products(quant::bitserial::plane_products(shape, shape.activations)) {
  Rng rng(1, Purpose::Test);
  Tensor w = Tensor::zeros({kOutputs, kChannels, 3, 3});
  for (int64_t i = 0; i < w.shape().count(); ++i) w.data<float>()[i] = static_cast<float>(rng.normal());
  integers = quant::quantize_weights(w, bits, shape.mode);
  for (size_t i = 0; i < integers.integers.size(); ++i)
    weights.push_back(static_cast<float>(integers.integers[i]) * integers.multipliers[i / 32]);
  for (int64_t i = 0; i < kInputRows * kChannels; ++i) {
    if (i % 32 == 0) {
      steps.push_back(std::ldexp(1.0f, static_cast<int>(rng.below(4)) - 2));
      sums.push_back(0);
    }
    mantissas.push_back(static_cast<uint8_t>(rng.below(uint64_t{1} << bits)));
    sums.back() += mantissas.back();
    inputs.push_back(static_cast<float>(mantissas.back()) * steps.back());
  }
  const quant::PackedLayer planes = quant::pack_layer("layer", integers, quant::MultiplierFormat::F32);
  weight_words.resize(planes.planes.size() / 4);
  std::memcpy(weight_words.data(), planes.planes.data(), planes.planes.size());
  input_words.resize(steps.size() * static_cast<size_t>(bits));
  for (size_t i = 0; i < mantissas.size(); ++i) {
    for (size_t p = 0; p < static_cast<size_t>(bits); ++p)
      input_words[i / 32 * static_cast<size_t>(bits) + p] |= (mantissas[i] >> p & 1u) << i % 32;
  }
  packed.resize(static_cast<size_t>(quant::bitserial::packed_bytes(shape)) / 64);
  quant::bitserial::pack(shape, planes, 0, shape.panels(), packed.data()->bytes);
}

}  // namespace kronbit::levels
