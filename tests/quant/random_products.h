// What the tests of the block products share: random layers and activations in every form, and the formula in double.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "quant/kernels/block_product.h"
#include "tensor/rng.h"
#include "tensor/tensor.h"

namespace kronbit::quant {

/// Bytes that start at a multiple of 64, followed by guard bytes.
class AlignedBytes {
 public:
  explicit AlignedBytes(int64_t bytes)
      : size_(static_cast<size_t>(bytes)), storage_(size_ + 64 + kGuard, std::byte{0xcd}) {}
  std::byte* data() {
    return reinterpret_cast<std::byte*>((reinterpret_cast<uintptr_t>(storage_.data()) + 63) / 64 * 64);
  }
  bool guard_is_whole() {
    return std::all_of(data() + size_, data() + size_ + kGuard, [](std::byte b) { return b == std::byte{0xcd}; });
  }
  bool same_as(AlignedBytes& other) {
    return size_ == other.size_ && (size_ == 0 || std::memcmp(data(), other.data(), size_) == 0);
  }

 private:
  static constexpr size_t kGuard = 64;  // bytes behind it that must stay as they were
  size_t size_;
  std::vector<std::byte> storage_;
};

/// Numbers in blocks of many kinds; the extreme ones reach the ends of the integer ranges in every lane.
inline void fill_block(float* x, int64_t n, int64_t stride, Rng& rng) {
  const uint64_t kind = rng.below(8);
  const double scale = std::exp2(rng.uniform(-12, 12));
  for (int64_t i = 0; i < n; ++i) {
    double v = rng.normal();
    if (kind == 0) v = 0;
    if (kind == 1) v = 1.9999;
    if (kind == 2) v = -1.9999;
    if (kind == 3) v = rng.below(2) != 0 ? 1.9999 : -1.9999;
    if (kind == 4 && rng.below(4) != 0) v = 0;
    x[i * stride] = static_cast<float>(v * scale);
  }
}

/// Quantized activations in the three forms. The last row is zero.
struct Activations {
  ActivationFormat format;
  int64_t rows = 0, blocks = 0;
  std::vector<int> mantissas;  ///< [row][block][32]
  std::vector<float> steps;
  std::vector<int32_t> sums;

  int mantissa(int64_t row, int64_t block, int64_t lane) const {
    return mantissas[static_cast<size_t>((row * blocks + block) * 32 + lane)];
  }
};

inline Activations random_activations(int64_t rows, int64_t channels, const ActivationFormat& format, Rng& rng) {
  Tensor x = Tensor::activation(1, 1, rows, channels);
  for (int64_t row = 0; row < rows; ++row) {
    float* at = x.row<float>(row);
    for (int64_t c = 0; c < channels; c += 32) fill_block(at + c, std::min<int64_t>(32, channels - c), 1, rng);
    for (int64_t c = 0; c < channels; ++c) {
      if (!format.is_signed) at[c] = std::fabs(at[c]);
      if (row == rows - 1) at[c] = 0;
    }
  }
  const QuantizedActivations q = activation_mantissas(x, format);
  Activations a{format, rows, q.blocks, {}, {}, {}};
  a.mantissas.resize(static_cast<size_t>(rows * q.blocks * 32));
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t c = 0; c < channels; ++c)
      a.mantissas[static_cast<size_t>(row * q.blocks * 32 + c)] = q.mantissas[static_cast<size_t>(row * channels + c)];
    for (int64_t k = 0; k < q.blocks; ++k) {
      const int* first = a.mantissas.data() + (row * q.blocks + k) * 32;
      const bool zero = std::all_of(first, first + 32, [](int m) { return m == 0; });
      a.steps.push_back(zero ? 0.0f : std::ldexp(1.0f, q.exponents[static_cast<size_t>(row * q.blocks + k)]));
      a.sums.push_back(std::accumulate(first, first + 32, 0));
    }
  }
  return a;
}

/// The rows as a kernel of that form reads them; the memory is `bytes`.
inline RowsView view_of(const Activations& a, RowForm form, AlignedBytes& bytes) {
  const RowsView view{form, a.format, a.blocks, bytes.data(), a.steps.data(), a.sums.data()};
  for (int64_t i = 0; i < a.rows * a.blocks; ++i) {
    std::byte* block = bytes.data() + i * (view.row_bytes() / std::max<int64_t>(a.blocks, 1));
    uint32_t planes[8] = {};
    for (int lane = 0; lane < 32; ++lane) {
      const int m = a.mantissa(0, i, lane);
      if (form == RowForm::Bytes) block[lane] = static_cast<std::byte>(m);
      for (unsigned p = 0; p < 8; ++p) planes[p] |= (static_cast<unsigned>(m) >> p & 1u) << lane;
      const bf16 value(static_cast<float>(m) * a.steps[static_cast<size_t>(i)]);
      if (form == RowForm::Bf16) std::memcpy(block + 2 * lane, &value, 2);
    }
    if (form == RowForm::Planes) std::memcpy(block, planes, 4 * static_cast<size_t>(a.format.bits));
  }
  return view;
}

inline PackedLayer random_layer(const LayerShape& s, Rng& rng) {
  const auto side = static_cast<int64_t>(std::lround(std::sqrt(s.taps)));
  Tensor w = Tensor::zeros({s.outputs, s.channels, side, side});
  float* data = w.data<float>();
  for (int64_t o = 0; o < s.outputs; ++o) {
    for (int64_t t = 0; t < s.taps; ++t) {
      for (int64_t c = 0; c < s.channels; c += 32)
        fill_block(data + (o * s.channels + c) * s.taps + t, std::min<int64_t>(32, s.channels - c), s.taps, rng);
    }
  }
  return pack_layer("layer", quantize_weights(w, s.bits, s.mode), MultiplierFormat::F32);
}

/// The sum and the sum of magnitudes of its terms, lane by lane, in double.
struct Sums {
  double sum = 0, magnitudes = 0;
};
inline Sums formula(const LayerShape& s, const QuantizedWeights& w, const Activations& a, std::span<const Tap> taps,
                    int64_t r, int64_t o) {
  Sums sums;
  if (o >= s.outputs) return sums;
  for (const Tap& tap : taps) {
    for (int64_t c = 0; c < s.channels; ++c) {
      const int64_t position = o * s.taps + tap.tap, k = c / 32, row = tap.x_rows[r];
      const double term = static_cast<double>(w.multipliers[static_cast<size_t>(position * s.blocks() + k)]) *
                          static_cast<double>(a.steps[static_cast<size_t>(row * a.blocks + k)]) *
                          w.integers[static_cast<size_t>(position * s.channels + c)] * a.mantissa(row, k, c % 32);
      sums.sum += term;
      sums.magnitudes += std::fabs(term);
    }
  }
  return sums;
}

template <class T>
T one_of(std::initializer_list<T> list, Rng& rng) {
  return *(list.begin() + rng.below(list.size()));
}

inline std::string describe(const LayerShape& s) {
  return std::string(name_of(s.mode)) + " weights of " + std::to_string(s.bits) + " bits, " +
         (s.activations.is_signed ? "signed" : "unsigned") + " activations of " + std::to_string(s.activations.bits) +
         ", channels " + std::to_string(s.channels) + ", outputs " + std::to_string(s.outputs) + ", taps " +
         std::to_string(s.taps);
}

}  // namespace kronbit::quant
