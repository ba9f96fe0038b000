// The weight quantizer as its formula is written, one block after the other.
#include <algorithm>
#include <cmath>
#include <limits>

#include "quant/kernels/weights/kernels.h"

namespace kronbit::quant {
namespace {

/// The element of largest magnitude, of two the positive one; NaN if there is one.
float extreme_of(const std::vector<float>& w) {
  float extreme = 0;
  for (const float v : w) {
    if (std::isnan(v)) return v;
    if (std::fabs(v) > std::fabs(extreme) || (std::fabs(v) == std::fabs(extreme) && v > 0)) extreme = v;
  }
  return extreme;
}

float integer_of(float w, float extreme, const WeightBlocks& b) {
  const float levels = static_cast<float>(1 << (b.bits - 1));
  if (b.mode == Mode::Binary) return w < 0 ? -1.0f : 1.0f;
  if (!std::isfinite(extreme) || std::fabs(extreme) < kSmallestExtreme) return 0;
  const float q = b.mode == Mode::SignedExtreme ? std::nearbyint(-levels / extreme * w)
                                                : std::floor(w / std::fabs(extreme) * levels);
  return std::clamp(q, -levels, levels - 1) + 0.0f;  // no -0
}

/// sum(w q) / sum(q q)
float multiplier_of(const std::vector<float>& w, const std::vector<float>& q) {
  double wq[kPartialSums] = {}, qq = 0;
  for (size_t i = 0; i < w.size(); ++i) {
    wq[i % kPartialSums] += static_cast<double>(w[i]) * static_cast<double>(q[i]);
    qq += static_cast<double>(q[i]) * static_cast<double>(q[i]);
  }
  for (int64_t half = kPartialSums / 2; half > 0; half /= 2)
    for (int64_t k = 0; k < half; ++k) wq[k] += wq[k + half];
  return qq == 0 ? 0.0f : static_cast<float>(wq[0] / qq);
}

bool always() { return true; }

}  // namespace

void quantize_weight_blocks_reference(const float* w, float* result, float* multipliers, const WeightBlocks& b,
                                      WeightScratch&) {
  std::vector<float> block(static_cast<size_t>(b.channels)), q(block.size());
  for (int64_t g = 0; g < b.groups; ++g) {
    for (int64_t t = 0; t < b.taps; ++t, ++multipliers) {
      const auto at = [&](size_t c) { return (g * b.channels + static_cast<int64_t>(c)) * b.taps + t; };
      for (size_t c = 0; c < block.size(); ++c) block[c] = w[at(c)];
      const float extreme = extreme_of(block);
      for (size_t c = 0; c < block.size(); ++c) q[c] = integer_of(block[c], extreme, b);
      const bool zero = std::fabs(extreme) < kSmallestExtreme;
      *multipliers =
          std::isfinite(extreme) ? zero ? 0.0f : multiplier_of(block, q) : std::numeric_limits<float>::quiet_NaN();
      for (size_t c = 0; c < block.size(); ++c) result[at(c)] = b.multiply ? *multipliers * q[c] : q[c];
    }
  }
}

const WeightKernels kWeightsReference = {"reference", "", always, quantize_weight_blocks_reference};

}  // namespace kronbit::quant
