// Convolution, batch normalization, sum and ReLU as one operator: the same mathematics as the four operators one after
// the other (conv2d.h, batch_norm.h, add.h, relu.h), in fewer passes over memory. What fusion.h puts in their place.
#pragma once

#include <memory>

#include "nn/ops/batch_norm.h"
#include "nn/ops/conv2d.h"

namespace kronbit::nn {

/// Formula:  y = conv2d(x, w); z = (y - mean) / sqrt(variance + eps) * weight + bias [+ residual]; with relu max(z, 0)
/// Shapes:   x [H][W][N][C] f32 or bf16; residual, z [H'][W'][N][O] of x's type, residual may be undefined;
///           parameters: w [O, C, kh, kw], then those of BatchNorm, all f32
/// Training: the convolution adds up the moments of y while its rows are in cache, one pass makes z, and y and z are
///           what is kept for the way back: z is the mask of the ReLU.
/// Inference: the running statistics are constants, so the rows become z as soon as they are written.
/// Throws:   as the operators it consists of
Var conv_norm(const std::shared_ptr<const Convolution>& layer, const BatchNormOptions& norm, const Var& x,
              const Var& residual, std::span<Var> parameters, bool relu, const RunContext& context);

}  // namespace kronbit::nn
