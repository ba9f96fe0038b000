// The ordered list of the activation quantizer's kernels, best first.
#include <array>

#include "quant/kernels/activations/kernels.h"

namespace kronbit::quant {

std::span<const ActivationKernels> activation_kernels() {
  static const std::array<ActivationKernels, 4> list = {kActivationsAvx512, kActivationsAvx2, kActivationsBaseline,
                                                        kActivationsReference};
  return list;
}

// Asked for anew at every call: the instruction sets in use may be limited at run time.
const ActivationKernels& best_activation_kernels() {
  const auto all = activation_kernels();
  size_t k = 0;
  while (!all[k].supported()) ++k;  // the reference always is
  return all[k];
}

}  // namespace kronbit::quant
