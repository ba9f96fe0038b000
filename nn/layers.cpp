#include "nn/layers.h"

namespace kronbit::nn {
namespace {

/// The weight of a convolution [O, C, kh, kw] or linear layer [O, I]; nullptr for other nodes.
const Tensor* weight_of(const Network& net, const Node& node) {
  for (int index : node.parameters) {
    const Parameter& p = net.parameters()[static_cast<size_t>(index)];
    if (p.role == Role::Weight) return &p.var.value();
  }
  return nullptr;
}

}  // namespace

std::vector<ConvInfo> conv_layers(const Network& net) {
  std::vector<ConvInfo> layers;
  for (int index : net.convolutions()) {
    const Node& node = net.nodes()[static_cast<size_t>(index)];
    const Tensor* weight = weight_of(net, node);
    KB_CHECK(weight != nullptr && weight->shape().rank() == 4);
    const Shape& w = weight->shape();
    layers.push_back({.node = index,
                      .name = node.name,
                      .out_channels = w[0],
                      .in_channels = w[1],
                      .kernel_h = w[2],
                      .kernel_w = w[3],
                      .out_h = node.shape[0],
                      .out_w = node.shape[1]});
  }
  return layers;
}

int64_t macs_of(const Network& net, const Node& node) {
  const Tensor* weight = weight_of(net, node);
  return weight == nullptr ? 0 : weight->count() * node.shape[0] * node.shape[1];
}

}  // namespace kronbit::nn
