// The activation quantizer for any x86-64: SSE2.
#include <algorithm>
#include <bit>
#include <cstdint>

#include "quant/kernels/activations/kernels.h"

namespace kronbit::quant {
namespace {
constexpr int kWidth = 4;
bool supported() { return true; }
}  // namespace
}  // namespace kronbit::quant

#include "quant/kernels/activations/kernels.inc"

namespace kronbit::quant {

const ActivationKernels kActivationsBaseline = {
    "baseline", "", supported, quantize_blocks<float>, quantize_blocks<bf16>, mask_blocks<float>, mask_blocks<bf16>};

}  // namespace kronbit::quant
