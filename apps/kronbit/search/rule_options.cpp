#include "apps/kronbit/search/rule_options.h"

#include "quant/size.h"
#include "tensor/io/parse.h"

namespace kronbit::app {

void add_rule_options(CLI::App* command, RuleOptions& o) {
  command->add_option("--fix", o.fix, "bits of layers by name: 'conv1=8,layer3*=2'");
  command->add_option("--tie", o.tie,
                      "layers that share their bits: 'layer1.*.conv2'; of resnet18 'layer*.conv2,layer*.shortcut*'");
  command->add_option("--bits-min", o.bits_min, "least bits of a layer");
  command->add_option("--bits-max", o.bits_max, "most bits of a layer");
  command->add_option("--choices", o.choices, "the only bits that hardware or taste allow: 2,4,8");
}

search::Constraints constraints_of(const RuleOptions& o) {
  search::Constraints constraints;
  for (const std::string& text : o.fix) constraints.add_fix(text);
  for (const std::string& text : o.tie) constraints.add_tie(text);
  constraints.bits_min = static_cast<int>(parse_int(o.bits_min, kMinBits, kMaxBits, "--bits-min"));
  constraints.bits_max = static_cast<int>(parse_int(o.bits_max, kMinBits, kMaxBits, "--bits-max"));
  if (!o.choices.empty()) constraints.set_choices(o.choices);
  return constraints;
}

std::vector<std::string> layer_names(const std::vector<nn::ConvInfo>& layers) {
  std::vector<std::string> names;
  for (const nn::ConvInfo& layer : layers) names.push_back(layer.name);
  return names;
}

search::LayerRules rules_of(const RuleOptions& options, const std::vector<nn::ConvInfo>& layers) {
  return {constraints_of(options), layer_names(layers)};
}

search::CostOf packed_cost(std::vector<nn::ConvInfo> layers, int64_t block, LatencyModel latency) {
  return [layers = std::move(layers), block, latency = std::move(latency)](const Bits& bits) {
    const quant::SizeReport size = quant::size_of(layers, bits, quant::SizeRule::Packed, block);
    double weight_bits = 0;
    for (size_t l = 0; l < layers.size(); ++l) weight_bits += static_cast<double>(layers[l].weights()) * bits[l];
    return search::Cost{.bytes = static_cast<double>(size.bytes),
                        .bops = static_cast<double>(size.bops),
                        .average_bits = weight_bits / static_cast<double>(size.weights),
                        .milliseconds = latency.known() ? latency.milliseconds(bits) : 0};
  };
}

}  // namespace kronbit::app
