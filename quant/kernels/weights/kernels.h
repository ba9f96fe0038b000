// Kernels of the weight quantizer: one plain reference and one generic source compiled per instruction set. Private to
// quant/; the definition of the numbers is in quant/quantizer.h.
#pragma once

#include <algorithm>
#include <span>
#include <string_view>
#include <vector>

#include "quant/quantizer.h"

namespace kronbit::quant {

/// Neighbouring channels of one filter as they lie in memory: `groups` times `channels`, which give one block for each
/// position (tap) of the kernel.
struct WeightBlocks {
  int64_t groups, channels, taps;
  int bits;
  Mode mode;      ///< as mode_at() gives it
  bool multiply;  ///< the result is multiplier * integer, not the integer
};

inline constexpr int64_t kPartialSums = 8;            ///< of a block; channel c goes to sum c mod 8
inline constexpr float kSmallestExtreme = 0x1p-120f;  ///< below, a block counts as zero; 128 / it is still a float

/// Groups per call: what they need stays in the L1 cache, and there are enough of them to fill waiting times.
constexpr int64_t most_groups(int64_t taps) { return std::clamp<int64_t>(72 / std::max<int64_t>(1, taps), 1, 64); }

/// Numbers of one group in the scratch memory: [8][taps] and a tail that absorbs whole vectors.
constexpr int64_t scratch_stride(int64_t taps) { return kPartialSums * (taps + 1); }

/// What the kernels write down on the way; kept from call to call.
struct WeightScratch {
  explicit WeightScratch(int64_t taps)
      : highest(static_cast<size_t>(most_groups(taps) * scratch_stride(taps))),
        lowest(highest.size()),
        factor(highest.size()),
        squares(highest.size()),
        products(highest.size()) {}
  std::vector<int32_t> highest, lowest;  // [groups][scratch_stride(taps)], all
  std::vector<float> factor, squares;
  std::vector<double> products;
  std::vector<float> padded;  // a group whose channels are no multiple of 8, and its result
};

/// Shapes:   w, result [groups][channels][taps]; multipliers [groups][taps]
/// Requires: groups <= most_groups(taps)
/// Exactness: all variants bit-identical, NaN excepted, whose bits may differ
using QuantizeWeightBlocks = void (*)(const float* w, float* result, float* multipliers, const WeightBlocks& blocks,
                                      WeightScratch& scratch);

struct WeightKernels {
  std::string_view name;   ///< "avx512"
  std::string_view needs;  ///< CPU features, for people
  bool (*supported)();
  QuantizeWeightBlocks quantize;
};
std::span<const WeightKernels> weight_kernels();  ///< best first, the reference last
const WeightKernels& best_weight_kernels();       ///< the first supported one

extern const WeightKernels kWeightsAvx512, kWeightsAvx2, kWeightsBaseline, kWeightsReference;

void quantize_weight_blocks_reference(const float* w, float* result, float* multipliers, const WeightBlocks& blocks,
                                      WeightScratch& scratch);

}  // namespace kronbit::quant
