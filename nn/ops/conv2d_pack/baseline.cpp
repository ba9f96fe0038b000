// The packing of weights for any x86-64: SSE2.
#include <algorithm>
#include <cstdint>

#include "nn/ops/conv2d_pack/kernels.h"

namespace kronbit::nn {
namespace {
constexpr int kLanes = 4;
bool supported() { return true; }
}  // namespace
}  // namespace kronbit::nn

#include "nn/ops/conv2d_pack/kernels.inc"

namespace kronbit::nn {

const PackKernel kPackBaseline = {"baseline", "", supported, pack_panel};

}  // namespace kronbit::nn
