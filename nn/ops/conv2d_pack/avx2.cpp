// The packing of weights for AVX2.
#include <algorithm>
#include <cstdint>

#include "nn/ops/conv2d_pack/kernels.h"
#include "tensor/cpu.h"

namespace kronbit::nn {
namespace {
constexpr int kLanes = 8;
bool supported() { return cpu().avx2; }
}  // namespace
}  // namespace kronbit::nn

#pragma GCC push_options
#pragma GCC target("avx2")
#include "nn/ops/conv2d_pack/kernels.inc"

namespace kronbit::nn {

const PackKernel kPackAvx2 = {"avx2", "avx2", supported, pack_panel};

}  // namespace kronbit::nn

#pragma GCC pop_options
