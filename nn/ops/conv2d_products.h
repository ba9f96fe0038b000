// The two convolutions that are sums over taps, forward and backward-data, on packed weights, with a look at every
// block of rows while it is still in cache. Read conv2d.h first.
#pragma once

#include <functional>
#include <map>
#include <tuple>

#include "nn/ops/conv2d.h"
#include "nn/ops/conv2d_pack.h"

namespace kronbit::nn {

/// The weights of both directions in the order their products read them, in the type of the activations: bf16 as
/// conv2d_pack.h says, others [panel of 32 columns][tap][k][32], k the channels that are summed over.
/// Shapes:   w [O, C, kh, kw] f32 or f64; `type` of the activations: that of w, or bf16 (rounded to nearest even)
PackedConvWeights pack_conv2d(const Tensor& w, DType type, const Conv2dOptions& options, bool backward);

/// Packed weights kept from one forward pass to the next, for as long as the weights do not change: evaluation.
class ConvWeightCache {
 public:
  /// The packed weights of `layer` on parameter w for activations of `type`, made at the first call.
  const PackedConvWeights& get(const Convolution& layer, const Tensor& w, DType type);

 private:
  // By layer (the same weights may be quantized in several ways), memory of w and type.
  std::map<std::tuple<const Convolution*, const void*, DType>, PackedConvWeights> packed_;
};

/// Rows of a result that have just been written; still in the first cache.
struct RowBlock {
  int64_t first_row, rows;    ///< of the tensor
  int64_t first_lane, lanes;  ///< channels, those of the padding included; lanes = 16 or 32
  int64_t group;              ///< blocks of one group and one first_lane come one after the other, in order
};
using RowSink = std::function<void(Tensor& result, const RowBlock& block)>;
/// Groups of a forward result of this shape (options of what is run: gathered() where rows are): a sink keeps its sums
/// per group and adds them up in order, so that they do not depend on the number of threads.
int64_t row_groups(const Shape& result, const Conv2dOptions& options);

/// As the functions of conv2d.h, with weights packed before. `sink` may change the block (a normalization in place).
Tensor conv2d_forward(const Tensor& x, const PackedConvWeights& w, const Conv2dOptions& options,
                      const RowSink& sink = {});
Tensor conv2d_backward_data(const Tensor& dy, const PackedConvWeights& w, const Shape& x_shape,
                            const Conv2dOptions& options);

}  // namespace kronbit::nn
