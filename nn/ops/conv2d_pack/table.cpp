// The ordered list of the packing's kernels, best first.
#include <array>

#include "nn/ops/conv2d_pack/kernels.h"

namespace kronbit::nn {

std::span<const PackKernel> pack_kernels() {
  static const std::array<PackKernel, 4> list = {kPackAvx512, kPackAvx2, kPackBaseline, kPackReference};
  return list;
}

// Asked for anew at every call: the instruction sets in use may be limited at run time.
const PackKernel& best_pack_kernel() {
  const auto all = pack_kernels();
  size_t k = 0;
  while (!all[k].supported()) ++k;  // the reference always is
  return all[k];
}

}  // namespace kronbit::nn
