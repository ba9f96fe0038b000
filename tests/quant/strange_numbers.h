// Numbers of every kind that a quantizer may meet.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "tensor/rng.h"
#include "tensor/tensor.h"

namespace kronbit::quant {

/// One block's worth of numbers of one kind: smooth, ties, a huge range, sparse, denormal, all zero, with strange ones.
inline void fill(std::vector<float>& x, size_t first, size_t n, Rng& rng) {
  const uint64_t kind = rng.below(8);
  const double scale = std::exp2(rng.uniform(-150, 128));
  for (size_t i = first; i < first + n; ++i) {
    const double v = rng.normal();
    if (kind <= 1) x[i] = static_cast<float>(v);
    if (kind == 2) x[i] = static_cast<float>(static_cast<int>(rng.below(33)) - 16) / 16.0f;
    if (kind == 3) x[i] = static_cast<float>(v * std::exp(rng.uniform(-60, 60)));
    if (kind == 4) x[i] = rng.below(4) != 0 ? (rng.below(2) != 0 ? 0.0f : -0.0f) : static_cast<float>(v);
    if (kind == 5) x[i] = static_cast<float>(v * scale);  // denormal, tiny or huge
    if (kind == 6) x[i] = 0.0f;
    if (kind == 7) x[i] = static_cast<float>(v);
  }
  constexpr float kStrange[] = {std::numeric_limits<float>::infinity(),  -std::numeric_limits<float>::infinity(),
                                std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::quiet_NaN(),
                                std::numeric_limits<float>::max(),       0x1p126f,
                                std::numeric_limits<float>::denorm_min()};
  if (kind == 7) x[first + rng.below(n)] = kStrange[rng.below(std::size(kStrange))];
}

template <class T>
std::vector<T> random_numbers(int64_t count, int64_t block, bool is_signed, Rng& rng) {
  std::vector<float> x(static_cast<size_t>(count));
  for (int64_t at = 0; at < count; at += block)
    fill(x, static_cast<size_t>(at), static_cast<size_t>(std::min(block, count - at)), rng);
  std::vector<T> result;
  for (const float v : x) result.push_back(static_cast<T>(is_signed ? v : std::fabs(v)));
  return result;
}

/// Bits, but one NaN is as good as another.
inline uint32_t bits_of(float x) { return std::isnan(x) ? 0x7fc00000u : std::bit_cast<uint32_t>(x); }
inline uint32_t bits_of(bf16 x) { return bits_of(static_cast<float>(x)); }

}  // namespace kronbit::quant
