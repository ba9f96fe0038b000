// Fusion: a pass over the network that finds the nodes which can run as one. A convolution followed by its batch
// normalization, perhaps a sum (the shortcut of a residual block) and a ReLU becomes one step: conv_norm() in
// nn/ops/conv_norm.h. The operators one by one stay the definition; both give the same results up to rounding.
#pragma once

#include <string_view>
#include <vector>

#include "nn/network.h"

namespace kronbit::nn {

/// What runs at once: one node, or a group that ends with it.
struct Step {
  int node = 0;  ///< whose output this is
  // The members of a group; -1 where absent. A step without a convolution is the node alone.
  int conv = -1, norm = -1;
  int residual = -1;  ///< the node whose output is added to the normalized one
  bool relu = false;
};

/// The steps of a forward pass in order. A node becomes part of a group only if nobody else reads its output.
/// norm: the operator that counts as normalization, "channel_affine" for a network after folding.
std::vector<Step> steps(const Network& net, bool fused, std::string_view norm = "batch_norm");

}  // namespace kronbit::nn
