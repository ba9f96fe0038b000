// The ordered list of the packing's kernels, best first.
#include <array>

#include "nn/ops/conv2d_pack/kernels.h"
#include "tensor/variants.h"

namespace kronbit::nn {

std::span<const PackKernel> pack_kernels() {
  static const std::array<PackKernel, 4> list = {kPackAvx512, kPackAvx2, kPackBaseline, kPackReference};
  return list;
}

const PackKernel& best_pack_kernel() { return first_supported(pack_kernels()); }

}  // namespace kronbit::nn
