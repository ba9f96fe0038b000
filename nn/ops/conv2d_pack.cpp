#include "nn/ops/conv2d_pack.h"

#include <algorithm>

#include "nn/ops/conv2d_pack/kernels.h"
#include "tensor/parallel.h"

namespace kronbit::nn {
namespace {

constexpr int64_t kPanel = kBlock, kPairs = kPanel / 2;

Tensor panels_of(int64_t columns, int64_t rows, int64_t taps) {
  return Tensor::activation_uninitialized(chunk_count(columns, kPanel), taps, pitch_of(rows) / 2, 2 * kPanel,
                                          DType::BF16);
}

}  // namespace

PackedConvWeights pack_conv_weights(const Tensor& w, bool want_backward) {
  KB_CHECK_EQ(w.shape().rank(), 4);
  const int64_t outputs = w.shape()[0], inputs = w.shape()[1], taps = w.shape()[2] * w.shape()[3];
  PackedConvWeights packed;
  packed.forward = panels_of(outputs, inputs, taps);
  if (want_backward) packed.backward = panels_of(inputs, outputs, taps);
  const PackPanel pack = best_pack_kernel().run;
  // Forward: output channels are columns. Backward: input channels are; a task packs the rows it has just read.
  parallel_for(chunk_count(outputs, kPanel), 1, [&](int64_t panel, int64_t) {
    const float* const from = w.data<float>() + panel * kPanel * inputs * taps;
    const int64_t pairs = pitch_of(inputs) / 2, tap_stride = pairs * 2 * kPanel;
    const PackSource columns{from, inputs * taps, taps, std::min(kPanel, outputs - panel * kPanel), inputs, taps};
    pack(columns, 0, pairs, packed.forward.data<bf16>() + panel * taps * tap_stride, tap_stride);
    if (!want_backward) return;
    const int64_t all_pairs = pitch_of(outputs) / 2, stride = all_pairs * 2 * kPanel;
    for (int64_t q = 0; q < chunk_count(inputs, kPanel); ++q) {
      const PackSource rows{w.data<float>() + q * kPanel * taps,   taps,    inputs * taps,
                            std::min(kPanel, inputs - q * kPanel), outputs, taps};
      pack(rows, panel * kPairs, std::min(all_pairs, (panel + 1) * kPairs),
           packed.backward.data<bf16>() + q * taps * stride, stride);
    }
  });
  return packed;
}

}  // namespace kronbit::nn
