// The weight quantizer for AVX2.
#include <immintrin.h>

#include <algorithm>
#include <bit>
#include <iterator>
#include <limits>

#include "quant/kernels/weights/kernels.h"
#include "tensor/cpu.h"

#pragma GCC push_options
#pragma GCC target("avx2")
#define KB_DOUBLES 4
#include "quant/kernels/weights/kernels.inc"

namespace kronbit::quant {
namespace {
bool supported() { return cpu().avx2; }
}  // namespace

const WeightKernels kWeightsAvx2 = {"avx2", "avx2", supported, quantize_blocks};

}  // namespace kronbit::quant

#pragma GCC pop_options
