#include "quant/verify.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "nn/layers.h"
#include "quant/engine/engine.h"
#include "quant/size.h"

namespace kronbit::quant {
namespace {

struct Difference {
  double largest = 0, magnitude = 0;  // of a difference; of a number of the second
  double relative() const { return magnitude > 0 ? largest / magnitude : largest; }
};

Difference difference(const Tensor& a, const Tensor& b) {
  Difference d;
  for (int64_t r = 0; r < a.rows(); ++r) {
    const float *x = a.row<float>(r), *y = b.row<float>(r);
    for (int64_t c = 0; c < a.cols(); ++c) {
      if (!std::isfinite(x[c]) || !std::isfinite(y[c])) return {std::numeric_limits<double>::infinity(), 1};
      d.largest = std::max(d.largest, std::fabs(static_cast<double>(x[c]) - y[c]));
      d.magnitude = std::max(d.magnitude, std::fabs(static_cast<double>(y[c])));
    }
  }
  return d;
}

// In the place of a convolution: runs both computations on its input, notes how far they are apart and goes on with the
// first.
class ComparedConv2d : public nn::Op {
 public:
  ComparedConv2d(nn::OpPtr first, nn::OpPtr second, double* relative)
      : first_(std::move(first)), second_(std::move(second)), relative_(relative) {}
  std::string_view kind() const override { return first_->kind(); }
  Shape output_shape(std::span<const Shape> inputs) const override { return first_->output_shape(inputs); }
  std::vector<nn::ParameterSpec> parameters() const override { return first_->parameters(); }
  nn::Var apply(std::span<const nn::Var> inputs, std::span<nn::Var> parameters,
                const nn::RunContext& context) const override {
    nn::Var a = first_->apply(inputs, parameters, context);
    const nn::Var b = second_->apply(inputs, parameters, context);
    *relative_ = difference(a.value(), b.value()).relative();
    return a;
  }

 private:
  nn::OpPtr first_, second_;
  double* relative_;
};

void count_bytes(const SafetensorsFile& file, const PackedNetwork& packed, const nn::Network& net, Verification& v) {
  const std::vector<nn::ConvInfo> convolutions = nn::conv_layers(net);
  for (size_t l = 0; l < convolutions.size(); ++l) {
    const PackedLayer& layer = *packed.layers()[l];
    for (const char* part : {".weight_packed", ".weight_scale"})
      v.file_bytes += static_cast<int64_t>(file.find(layer.name + part)->bytes.size());
    v.rule_bytes +=
        size_of({&convolutions[l], 1}, {layer.bits}, SizeRule::Packed, layer.block, layer.format).bytes;  // of its own
  }
}

}  // namespace

Verification verify(const std::filesystem::path& path, const Tensor& images) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  const PackedNetwork packed = PackedNetwork::parse(file);
  nn::Network fast = packed.network(PackedKernel::Dequantized), slow = packed.network(PackedKernel::Reference);
  Verification result;
  count_bytes(file, packed, fast, result);

  const std::vector<int> convolutions = fast.convolutions();
  std::vector<double> relative(convolutions.size());
  for (size_t l = 0; l < convolutions.size(); ++l) {
    const auto node = static_cast<size_t>(convolutions[l]);
    fast.replace(convolutions[l],
                 std::make_shared<ComparedConv2d>(fast.nodes()[node].op, slow.nodes()[node].op, &relative[l]));
  }
  const Tensor a = fast.forward(images, {}).value(), b = slow.forward(images, {}).value();
  const auto worst = std::max_element(relative.begin(), relative.end());
  result.layer_difference = *worst;
  result.worst_layer = packed.layers()[static_cast<size_t>(worst - relative.begin())]->name;

  const Difference logits = difference(a, b);
  result.largest_difference = logits.largest;
  result.largest_logit = logits.magnitude;
  result.images = a.rows();
  for (int64_t n = 0; n < a.rows(); ++n) {
    const float *x = a.row<float>(n), *y = b.row<float>(n);
    result.same_class += std::max_element(x, x + a.cols()) - x == std::max_element(y, y + a.cols()) - y;
  }
  const AssignOptions& quantizer = packed.assignment().options;
  Engine engine(packed, {.exact = quantizer.block == kBlock || !quantizer.activations});
  result.engine_exact = engine.exact();
  result.engine_difference = difference(engine.classify(images), b).relative();
  return result;
}

}  // namespace kronbit::quant
