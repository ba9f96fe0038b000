// The block-scaled integer product: what every kernel of a packed convolution computes. This one reads like the
// equation and is what the fast ones are compared with; it reads the same planes (packed_layer.h) as they do.
#pragma once

#include "nn/ops/conv2d.h"
#include "quant/packed_layer.h"

namespace kronbit::quant {

/// The convolution of a packed layer with activations in block floating point.
/// Formula:  y[h][w][n][o] = sum over taps (ky, kx) inside the image, blocks k of
///               multiplier[o][ky][kx][k] * 2^exponent[row][k] * sum over lanes i of q[o][ky][kx][k i] m[row][k i]
///           row = (h stride - pad + ky, w stride - pad + kx, n); q = sum over planes p of c_p bit_p, c_p = 2^p but
///           -2^(b-1) for the top one (binary: q = 1 - 2 bit); m, exponent = activation_mantissas(x)
///
///       planes of a block                   mantissas of the same 32 channels of one row
///       p0 |b0 b1 ... b31|                  |m0 m1 ... m31| 2^e
///       p1 |b0 b1 ... b31|      integer dot product over 32 lanes, one scale, one float sum per output
///
/// Shapes:   x [H][W][N][C] f32; returns [H'][W'][N][O] f32, as nn::conv2d_forward
/// Exactness: the dot product is an exact int32 (lanes * 128 * 255 < 2^31 for every legal block); it is converted to
///           float (exact below 2^24: blocks up to 514 lanes) and added by y = fma(dot, multiplier * 2^exponent, y),
///           taps in order (ky, kx), blocks in order: the contract of block_product.h, so the exact kernels give the
///           same bits. Against the dequantized path: relative error of an FP32 sum of that many terms.
/// Throws:   NumericalError for activations that are not finite
/// Source:   paper §3.1
Tensor packed_conv_reference(const Tensor& x, const PackedLayer& layer, const nn::Conv2dOptions& conv,
                             const ActivationFormat& format);

/// The same with activations as they come (the image). Formula: y = fma(x, multiplier * q, y), taps in order, channels
/// in order, multiplier * q rounded once: the contract of dense/dense.h.
Tensor packed_conv_reference(const Tensor& x, const PackedLayer& layer, const nn::Conv2dOptions& conv);

}  // namespace kronbit::quant
