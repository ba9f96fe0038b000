#include "quant/packed.h"

#include <cmath>

#include "data/normalization.h"
#include "nn/layers.h"
#include "nn/models/models.h"
#include "quant/fold.h"
#include "tensor/io/limits.h"
#include "tensor/io/text.h"

namespace kronbit::quant {
namespace {

const nn::Node& node_of(const nn::Network& net, int index) { return net.nodes()[static_cast<size_t>(index)]; }

// The same nodes reading the same nodes, with outputs of the same shape.
bool same_graph(const nn::Network& a, const nn::Network& b) {
  if (a.nodes().size() != b.nodes().size()) return false;
  for (size_t i = 0; i < a.nodes().size(); ++i) {
    const nn::Node &x = a.nodes()[i], &y = b.nodes()[i];
    if (x.name != y.name || x.inputs != y.inputs || x.shape != y.shape) return false;
  }
  return true;
}

void check_class_names(const std::vector<std::string>& names, int classes) {
  if (names.empty()) return;
  if (names.size() != static_cast<size_t>(classes))
    input_error("pack", "class names: wanted {}, got {}", classes, names.size());
  for (const std::string& name : names) {
    if (!is_utf8(name) || has_control_characters(name) || name.size() > kMaxNameBytes)
      input_error("pack", "class names: wanted at most {} bytes of plain UTF-8, got {}", kMaxNameBytes, quote(name));
  }
}

}  // namespace

int64_t PackedNetwork::conv_bytes() const {
  int64_t bytes = 0;
  for (const auto& layer : layers_) bytes += layer->bytes();
  return bytes;
}

nn::Network PackedNetwork::skeleton() const {
  return folded_graph(nn::build(network_, {.classes = classes_, .input_size = input_size_}));
}

nn::Network PackedNetwork::network(PackedKernel kernel) const {
  nn::Network net = skeleton();
  assign_bits(net, assignment_.bits, assignment_.options);
  const std::vector<int> convolutions = net.convolutions();
  for (size_t l = 0; l < layers_.size(); ++l) {
    const nn::Node& node = node_of(net, convolutions[l]);
    const auto& op = dynamic_cast<const DsConv2d&>(*node.op);
    if (kernel == PackedKernel::Dequantized)
      net.parameters()[static_cast<size_t>(node.parameters[0])].var.value().copy_from(dequantize(unpack(*layers_[l])));
    net.replace(convolutions[l], std::make_shared<PackedConv2d>(op.options(), op.quantization(), layers_[l], kernel));
  }
  for (nn::Parameter& p : net.parameters())
    if (const auto it = parameters_.find(p.name); it != parameters_.end()) p.var.value().copy_from(it->second);
  return net;
}

PackedNetwork pack(const nn::Network& net, const PackOptions& options) {
  const std::optional<Assignment> assignment = assignment_of(net);
  if (!assignment) input_error("pack", "{}: wanted a network with bits assigned, got one in FP32", net.name());
  check_class_names(options.class_names, net.classes());
  if (!options.normalization.empty()) data::parse_normalization(options.normalization);

  PackedNetwork packed;
  packed.network_ = net.name();
  packed.classes_ = net.classes();
  packed.class_names_ = options.class_names;
  packed.normalization_ = options.normalization;
  packed.input_size_ = net.input_shape()[0];
  if (packed.input_size_ > kMaxInputSize)
    input_error("pack", "input size: wanted at most {}, got {}", kMaxInputSize, packed.input_size_);
  packed.assignment_ = *assignment;
  const nn::Network folded = fold_batch_norm(net);
  if (!same_graph(folded, packed.skeleton()))
    input_error("pack", "{}: wanted a network of nn::build(), got another graph of that name", net.name());

  const std::vector<int> convolutions = net.convolutions();
  for (size_t l = 0; l < convolutions.size(); ++l) {
    const nn::Node& node = node_of(net, convolutions[l]);
    const Tensor& w = net.parameters()[static_cast<size_t>(node.parameters[0])].var.value();
    const QuantizedWeights q =
        quantize_weights(w, assignment->bits[l], assignment->options.mode, assignment->options.block);
    packed.layers_.push_back(std::make_shared<PackedLayer>(pack_layer(node.name, q, options.multipliers)));
  }
  for (const nn::Parameter& p : folded.parameters()) {
    if (p.var.value().shape().rank() == 4) continue;  // a convolution's weight
    for (float v : p.var.value().values())
      if (!std::isfinite(v)) input_error("pack", "{}: a number is not finite", p.name);
    packed.parameters_.emplace(p.name, p.var.value().clone());
  }
  return packed;
}

}  // namespace kronbit::quant
