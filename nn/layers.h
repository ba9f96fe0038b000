// The convolutions of a network as a table: what size rules, bit operations and summaries need to know of them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nn/network.h"

namespace kronbit::nn {

/// One convolution. The layers of a bit list are these, in this order.
struct ConvInfo {
  int node = 0;  ///< index into Network::nodes()
  std::string name;
  int64_t out_channels = 0, in_channels = 0, kernel_h = 0, kernel_w = 0;
  int64_t out_h = 0, out_w = 0;
  int64_t weights() const { return out_channels * in_channels * kernel_h * kernel_w; }
  int64_t macs() const { return weights() * out_h * out_w; }  ///< multiplications per image, those on padding included
};

/// In order of execution; inside a residual block the shortcut's comes last.
std::vector<ConvInfo> conv_layers(const Network& net);

/// Multiplications of a convolution or linear layer per image; 0 for every other node.
int64_t macs_of(const Network& net, const Node& node);

}  // namespace kronbit::nn
