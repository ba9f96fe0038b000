// The activation quantizer for AVX2.
#include <algorithm>
#include <bit>
#include <cstdint>

#include "quant/kernels/activations/kernels.h"
#include "tensor/cpu.h"

namespace kronbit::quant {
namespace {
constexpr int kWidth = 8;
bool supported() { return cpu().avx2; }
}  // namespace
}  // namespace kronbit::quant

#pragma GCC push_options
#pragma GCC target("avx2")
#include "quant/kernels/activations/kernels.inc"

namespace kronbit::quant {

const ActivationKernels kActivationsAvx2 = {
    "avx2", "avx2", supported, quantize_blocks<float>, quantize_blocks<bf16>, mask_blocks<float>, mask_blocks<bf16>};

}  // namespace kronbit::quant

#pragma GCC pop_options
