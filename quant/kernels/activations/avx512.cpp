// The activation quantizer for AVX-512.
#include <algorithm>
#include <bit>
#include <cstdint>

#include "quant/kernels/activations/kernels.h"
#include "tensor/cpu.h"

namespace kronbit::quant {
namespace {
constexpr int kWidth = 16;
bool supported() { return cpu().avx512f && cpu().avx512bw && cpu().avx512dq && cpu().avx512vl; }
}  // namespace
}  // namespace kronbit::quant

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl")
#include "quant/kernels/activations/kernels.inc"

namespace kronbit::quant {

const ActivationKernels kActivationsAvx512 = {"avx512",
                                              "avx512f avx512bw avx512dq avx512vl",
                                              supported,
                                              quantize_blocks<float>,
                                              quantize_blocks<bf16>,
                                              mask_blocks<float>,
                                              mask_blocks<bf16>};

}  // namespace kronbit::quant

#pragma GCC pop_options
