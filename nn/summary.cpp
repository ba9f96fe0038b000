#include "nn/summary.h"

#include <algorithm>
#include <array>

#include "nn/layers.h"

namespace kronbit::nn {
namespace {

using Row = std::array<std::string, 6>;

/// Columns as wide as their widest cell; the last two hold numbers and are aligned to the right.
std::string table(const std::vector<Row>& rows) {
  std::array<size_t, 6> width{};
  for (const Row& row : rows)
    for (size_t c = 0; c < row.size(); ++c) width[c] = std::max(width[c], row[c].size());
  std::string text;
  for (const Row& row : rows) {
    for (size_t c = 0; c < row.size(); ++c) {
      const bool number = c >= 4;
      text += number ? fmt::format("{:>{}}", row[c], width[c]) : fmt::format("{:<{}}", row[c], width[c]);
      text += c + 1 < row.size() ? "  " : "\n";
    }
  }
  return text;
}

std::string number_or_blank(int64_t n) { return n == 0 ? std::string() : fmt::format("{}", n); }

}  // namespace

std::string summary(const Network& net) {
  std::vector<Row> rows{{"name", "kind", "options", "output", "parameters", "MACs"}};
  int64_t macs = 0;
  for (const Node& node : net.nodes()) {
    int64_t parameters = 0;
    for (int index : node.parameters) {
      const Var& var = net.parameters()[static_cast<size_t>(index)].var;
      parameters += var.requires_grad() ? var.value().count() : 0;
    }
    macs += macs_of(net, node);
    rows.push_back({node.name, std::string(node.op->kind()), node.op->describe(),
                    fmt::format("{}x{}x{}", node.shape[0], node.shape[1], node.shape[3]), number_or_blank(parameters),
                    number_or_blank(macs_of(net, node))});
  }
  int64_t conv_weights = 0;
  const std::vector<ConvInfo> layers = conv_layers(net);
  for (const ConvInfo& layer : layers) conv_weights += layer.weights();
  return table(rows) + fmt::format("{}: {} convolutions with {} weights ({:.2f} MB in FP32), {} parameters, {} MACs\n",
                                   net.name(), layers.size(), conv_weights, 4e-6 * static_cast<double>(conv_weights),
                                   net.parameter_count(), macs);
}

}  // namespace kronbit::nn
