// Batch normalization at inference is a scale and a shift per channel; folding writes it that way.
#pragma once

#include "nn/network.h"

namespace kronbit::quant {

/// A copy of `net` with every batch norm replaced by a channel_affine of the same name; all else, the indices of the
/// nodes included, as it was. The convolutions keep their weights: these were quantized, or trained to be, without
/// the scale, so it stays beside them in FP32.
/// Formula:  scale = weight / sqrt(running_var + eps), shift = bias - running_mean * scale
/// Exactness: in double, each rounded once to float
nn::Network fold_batch_norm(const nn::Network& net);

/// The nodes of that copy alone: its parameters are zero, and those of `net` are not read.
nn::Network folded_graph(const nn::Network& net);

}  // namespace kronbit::quant
