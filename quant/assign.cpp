#include "quant/assign.h"

#include <memory>

#include "quant/ds_conv2d.h"

namespace kronbit::quant {
namespace {

const DsConv2d* quantized(const nn::Node& node) { return dynamic_cast<const DsConv2d*>(node.op.get()); }

const nn::Conv2dOptions& conv_options(const nn::Node& node) {
  const auto* op = dynamic_cast<const nn::Convolution*>(node.op.get());
  KB_CHECK(op != nullptr);
  return op->options();
}

}  // namespace

void assign_bits(nn::Network& net, std::span<const int> bits, const AssignOptions& options) {
  const std::vector<int> layers = net.convolutions();
  check_bits(net.name(), {bits.begin(), bits.end()}, static_cast<int64_t>(layers.size()));
  std::vector<nn::OpPtr> ops;  // all of them before the first replacement: an error leaves the network as it was
  for (size_t l = 0; l < layers.size(); ++l) {
    const nn::Node& node = net.nodes()[static_cast<size_t>(layers[l])];
    const int input = node.inputs[0];
    ops.push_back(std::make_shared<DsConv2d>(conv_options(node),
                                             DsConvOptions{.bits = bits[l],
                                                           .mode = options.mode,
                                                           .block = options.block,
                                                           .quantize_input = options.activations && input != 0,
                                                           .signed_input = !net.non_negative(input)}));
  }
  for (size_t l = 0; l < layers.size(); ++l) net.replace(layers[l], std::move(ops[l]));
}

void remove_bits(nn::Network& net) {
  for (int layer : net.convolutions()) {
    const nn::Node& node = net.nodes()[static_cast<size_t>(layer)];
    net.replace(layer, std::make_shared<nn::Conv2d>(nn::Conv2dOptions(conv_options(node))));
  }
}

std::optional<Assignment> assignment_of(const nn::Network& net) {
  Assignment found;
  found.options.activations = false;
  for (int layer : net.convolutions()) {
    const nn::Node& node = net.nodes()[static_cast<size_t>(layer)];
    const DsConv2d* op = quantized(node);
    if (op == nullptr) return std::nullopt;
    found.bits.push_back(op->quantization().bits);
    found.options.mode = op->quantization().mode;
    found.options.block = op->quantization().block;
    found.options.activations = found.options.activations || op->quantization().quantize_input;
  }
  if (found.bits.empty()) return std::nullopt;
  return found;
}

Bits current_bits(const nn::Network& net) {
  const std::optional<Assignment> found = assignment_of(net);
  return found ? found->bits : Bits{};
}

}  // namespace kronbit::quant
