// The first convolution: with 3 channels a product per tap would be mostly padding, so all values a pixel of the result
// depends on are gathered into one row first, and the convolution becomes one of size 1x1.
#pragma once

#include "nn/ops/conv2d.h"

namespace kronbit::nn {

/// Whether a convolution of these options runs on gathered rows: few channels, more than one tap.
bool gathers(const Conv2dOptions& options);

/// The options of the 1x1 convolution of the gathered rows: in_channels = C * kh * kw.
Conv2dOptions gathered(const Conv2dOptions& options);

/// Formula:  g[h][w][n][c * kh * kw + i * kw + j] = x[h * stride - pad + i][w * stride - pad + j][n][c], 0 outside
/// Shapes:   x [H][W][N][C]; returns [H'][W'][N][C * kh * kw] of x's type
Tensor gather(const Tensor& x, const Conv2dOptions& options);

}  // namespace kronbit::nn
