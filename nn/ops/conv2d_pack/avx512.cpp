// The packing of weights for AVX-512.
#include <algorithm>
#include <cstdint>

#include "nn/ops/conv2d_pack/kernels.h"
#include "tensor/cpu.h"

namespace kronbit::nn {
namespace {
constexpr int kLanes = 16;
bool supported() { return cpu().avx512f && cpu().avx512bw && cpu().avx512dq && cpu().avx512vl; }
}  // namespace
}  // namespace kronbit::nn

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl")
#include "nn/ops/conv2d_pack/kernels.inc"

namespace kronbit::nn {

const PackKernel kPackAvx512 = {"avx512", "avx512f avx512bw avx512dq avx512vl", supported, pack_panel};

}  // namespace kronbit::nn

#pragma GCC pop_options
