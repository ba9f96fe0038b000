// The ordered list of the activation quantizer's kernels, best first.
#include <array>

#include "quant/kernels/activations/kernels.h"
#include "tensor/variants.h"

namespace kronbit::quant {

std::span<const ActivationKernels> activation_kernels() {
  static const std::array<ActivationKernels, 4> list = {kActivationsAvx512, kActivationsAvx2, kActivationsBaseline,
                                                        kActivationsReference};
  return list;
}

const ActivationKernels& best_activation_kernels() { return first_supported(activation_kernels()); }

}  // namespace kronbit::quant
