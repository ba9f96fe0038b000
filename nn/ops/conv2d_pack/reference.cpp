// The packing as its formula is written.
#include "nn/ops/conv2d_pack/kernels.h"

namespace kronbit::nn {
namespace {

bool always() { return true; }

}  // namespace

void pack_panel_reference(const PackSource& s, int64_t begin, int64_t end, bf16* to, int64_t tap_stride) {
  for (int64_t t = 0; t < s.taps; ++t) {
    for (int64_t r = 2 * begin; r < 2 * end; ++r) {
      for (int64_t j = 0; j < kBlock; ++j) {
        const bool exists = j < s.columns && r < s.rows;
        to[t * tap_stride + r / 2 * 2 * kBlock + 2 * j + r % 2] =
            exists ? bf16(s.w[j * s.column_stride + r * s.row_stride + t]) : bf16();
      }
    }
  }
}

const PackKernel kPackReference = {"reference", "", always, pack_panel_reference};

}  // namespace kronbit::nn
