#include "quant/engine/conv_rows.h"

#include <map>

namespace kronbit::quant {

std::vector<RowGroup> row_groups(const nn::Conv2dOptions& conv, int64_t height, int64_t width, int64_t images,
                                 Border border) {
  const Shape out = nn::conv2d_output_shape(Shape({height, width, images, conv.in_channels}), conv);
  const auto zero_row = static_cast<int32_t>(height * width * images);
  std::map<std::vector<int64_t>, RowGroup> groups;  // by the taps inside
  for (int64_t p = 0; p < out[0] * out[1]; ++p) {
    std::vector<int64_t> taps;
    std::vector<int32_t> pixels;  // read by each of them
    for (int64_t t = 0; t < conv.kernel_h * conv.kernel_w; ++t) {
      const int64_t h = p / out[1] * conv.stride - conv.pad + t / conv.kernel_w;
      const int64_t w = p % out[1] * conv.stride - conv.pad + t % conv.kernel_w;
      const bool inside = h >= 0 && h < height && w >= 0 && w < width;
      if (!inside && border == Border::Grouped) continue;
      taps.push_back(t);
      pixels.push_back(inside ? static_cast<int32_t>(h * width + w) : -1);
    }
    RowGroup& group = groups[taps];
    if (group.taps.empty())
      for (int64_t t : taps) group.taps.push_back({t, {}});
    for (int64_t n = 0; n < images; ++n) {
      group.rows.push_back(static_cast<int32_t>(p * images + n));
      for (size_t i = 0; i < taps.size(); ++i)
        group.taps[i].x_rows.push_back(pixels[i] < 0 ? zero_row : static_cast<int32_t>(pixels[i] * images + n));
    }
  }
  std::vector<RowGroup> list;
  for (auto& [taps, group] : groups) list.push_back(std::move(group));
  return list;
}

}  // namespace kronbit::quant
