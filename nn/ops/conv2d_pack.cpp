#include "nn/ops/conv2d_pack.h"

#include <algorithm>

#include "tensor/parallel.h"

namespace kronbit::nn {
namespace {

constexpr int64_t kPanel = 32;

/// to(column / 32, t, row / 2, 2 (column mod 32) + row mod 2) = w[column * column_stride + row * row_stride + t]
Tensor pack(const float* w, int64_t columns, int64_t rows, int64_t taps, int64_t column_stride, int64_t row_stride) {
  const int64_t panels = chunk_count(columns, kPanel), pairs = pitch_of(rows) / 2;
  Tensor packed = Tensor::activation(panels, taps, pairs, 2 * kPanel, DType::BF16);
  parallel_for(panels, 1, [&](int64_t panel, int64_t) {
    for (int64_t column = panel * kPanel; column < std::min(columns, (panel + 1) * kPanel); ++column) {
      for (int64_t row = 0; row < rows; ++row) {
        const float* from = w + column * column_stride + row * row_stride;
        bf16* to = packed.row<bf16>(panel * taps * pairs + row / 2) + 2 * (column % kPanel) + row % 2;
        for (int64_t t = 0; t < taps; ++t) to[t * pairs * 2 * kPanel] = bf16(from[t]);
      }
    }
  });
  return packed;
}

}  // namespace

PackedConvWeights pack_conv_weights(const Tensor& w, bool want_backward) {
  KB_CHECK_EQ(w.shape().rank(), 4);
  const int64_t outputs = w.shape()[0], inputs = w.shape()[1], taps = w.shape()[2] * w.shape()[3];
  PackedConvWeights packed;
  packed.forward = pack(w.data<float>(), outputs, inputs, taps, inputs * taps, taps);
  if (want_backward) packed.backward = pack(w.data<float>(), inputs, outputs, taps, taps, inputs * taps);
  return packed;
}

}  // namespace kronbit::nn
