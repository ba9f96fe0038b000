// The ordered list of the weight quantizer's kernels, best first.
#include <array>

#include "quant/kernels/weights/kernels.h"
#include "tensor/variants.h"

namespace kronbit::quant {

std::span<const WeightKernels> weight_kernels() {
  static const std::array<WeightKernels, 4> list = {kWeightsAvx512, kWeightsAvx2, kWeightsBaseline, kWeightsReference};
  return list;
}

const WeightKernels& best_weight_kernels() { return first_supported(weight_kernels()); }

}  // namespace kronbit::quant
