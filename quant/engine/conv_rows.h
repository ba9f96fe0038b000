// Which input rows every output row of a convolution reads: the taps of block products, made once per layer.
#pragma once

#include <cstdint>
#include <vector>

#include "nn/ops/conv2d.h"
#include "quant/kernels/block_product.h"

namespace kronbit::quant {

/// Output rows that run together with the same taps.
struct RowGroup {
  std::vector<int32_t> rows;  ///< of the output
  struct TapRows {
    int64_t tap;
    std::vector<int32_t> x_rows;  ///< one per output row
  };
  std::vector<TapRows> taps;
};

/// How taps outside the image are dealt with. Grouped: left out; rows with the same taps inside form a group (corners,
/// edges, interior). Padded: one group; a tap outside reads the row of zeros behind the last one, so that weights are
/// read once for all rows, which is what counts when there are few.
enum class Border { Grouped, Padded };

/// Shapes: input map height x width of `images` images, rows [h][w][n]; row height * width * images is zero
std::vector<RowGroup> row_groups(const nn::Conv2dOptions& conv, int64_t height, int64_t width, int64_t images,
                                 Border border);

}  // namespace kronbit::quant
