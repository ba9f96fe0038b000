// The weights of a convolution as the bf16 product takes them: panels of 32 columns, two rows side by side, once for
// the forward product and once for the gradient of the data. Read tensor/brgemm/brgemm.h first.
#pragma once

#include "tensor/tensor.h"

namespace kronbit::nn {

/// The B of every tap and panel, with pairs of rows 64 numbers apart (BrgemmPairsShape::b_pair = 64).
struct PackedConvWeights {
  Tensor forward;   ///< [panels of 32 output channels][taps][pitch_of(C) / 2][64] bf16
  Tensor backward;  ///< [panels of 32 input channels][taps][pitch_of(O) / 2][64] bf16; undefined unless wanted
};

/// Formula:  forward(o / 32, t, c / 2, 2 (o mod 32) + c mod 2) = w[o, c, t]
///           backward(c / 32, t, o / 2, 2 (c mod 32) + o mod 2) = w[o, c, t], t = ky kw + kx; zeros elsewhere
/// Shapes:   w [O, C, kh, kw] f32
/// Exactness: every number rounded once, half to even
PackedConvWeights pack_conv_weights(const Tensor& w, bool want_backward);

}  // namespace kronbit::nn
