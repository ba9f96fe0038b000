// The weight quantizer for AVX-512.
#include <immintrin.h>

#include <algorithm>
#include <bit>
#include <iterator>
#include <limits>

#include "quant/kernels/weights/kernels.h"
#include "tensor/cpu.h"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl")
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // false for the intrinsics of GCC 12 (its bug 105593)
#define KB_DOUBLES 8
#include "quant/kernels/weights/kernels.inc"

namespace kronbit::quant {
namespace {
bool supported() { return cpu().avx512f && cpu().avx512bw && cpu().avx512dq && cpu().avx512vl; }
}  // namespace

const WeightKernels kWeightsAvx512 = {"avx512", "avx512f avx512bw avx512dq avx512vl", supported, quantize_blocks};

}  // namespace kronbit::quant

#pragma GCC pop_options
