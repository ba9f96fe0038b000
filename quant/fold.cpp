#include "quant/fold.h"

#include <cmath>
#include <memory>

#include "nn/ops/batch_norm.h"
#include "nn/ops/channel_affine.h"

namespace kronbit::quant {
namespace {

// Fills "<name>.scale" and "<name>.shift" of `folded` from the batch norm `node` of `net`.
void fold(const nn::Network& net, const nn::Node& node, double eps, nn::Network& folded) {
  const auto values = [&](const nn::Network& of, const std::string& parameter) {
    const nn::Parameter* found = of.find_parameter(node.name + "." + parameter);
    KB_CHECK(found != nullptr);
    return found->var.value();  // shares its memory
  };
  const Tensor weight = values(net, "weight"), bias = values(net, "bias");
  const Tensor mean = values(net, "running_mean"), var = values(net, "running_var");
  Tensor scale = values(folded, "scale"), shift = values(folded, "shift");
  for (int64_t c = 0; c < weight.count(); ++c) {
    const double s = weight.data<float>()[c] / std::sqrt(static_cast<double>(var.data<float>()[c]) + eps);
    scale.data<float>()[c] = static_cast<float>(s);
    shift.data<float>()[c] = static_cast<float>(bias.data<float>()[c] - mean.data<float>()[c] * s);
  }
}

}  // namespace

nn::Network folded_graph(const nn::Network& net) {
  const Shape& image = net.input_shape();
  nn::Network folded(net.name(), image[0], image[1], image[3], net.classes());
  for (size_t i = 1; i < net.nodes().size(); ++i) {
    const nn::Node& node = net.nodes()[i];
    if (const auto* norm = dynamic_cast<const nn::BatchNorm*>(node.op.get())) {
      folded.add(node.name, std::make_shared<nn::ChannelAffine>(norm->channels()), node.inputs);
    } else {
      folded.add(node.name, node.op, node.inputs);
    }
  }
  return folded;
}

nn::Network fold_batch_norm(const nn::Network& net) {
  nn::Network folded = folded_graph(net);
  for (const nn::Node& node : net.nodes())
    if (const auto* norm = dynamic_cast<const nn::BatchNorm*>(node.op.get()))
      fold(net, node, norm->options().eps, folded);
  for (nn::Parameter& p : folded.parameters())
    if (const nn::Parameter* old = net.find_parameter(p.name)) p.var.value().copy_from(old->var.value());
  return folded;
}

}  // namespace kronbit::quant
