// The ordered list of the weight quantizer's kernels, best first.
#include <array>

#include "quant/kernels/weights/kernels.h"

namespace kronbit::quant {

std::span<const WeightKernels> weight_kernels() {
  static const std::array<WeightKernels, 4> list = {kWeightsAvx512, kWeightsAvx2, kWeightsBaseline, kWeightsReference};
  return list;
}

// Asked for anew at every call: the instruction sets in use may be limited at run time.
const WeightKernels& best_weight_kernels() {
  const auto all = weight_kernels();
  size_t k = 0;
  while (!all[k].supported()) ++k;  // the reference always is
  return all[k];
}

}  // namespace kronbit::quant
