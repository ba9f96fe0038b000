#include "quant/verify.h"

#include <algorithm>
#include <cmath>

#include "nn/layers.h"
#include "quant/size.h"

namespace kronbit::quant {

Verification verify(const std::filesystem::path& path, const Tensor& images) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  const PackedNetwork packed = PackedNetwork::parse(file);
  nn::Network fast = packed.network(PackedKernel::Dequantized), slow = packed.network(PackedKernel::Reference);

  Verification result;
  MultiplierFormat format = MultiplierFormat::Auto;
  for (const auto& layer : packed.layers()) {
    for (const char* part : {".weight_packed", ".weight_scale"})
      result.file_bytes += static_cast<int64_t>(file.find(layer->name + part)->bytes.size());
    if (layer->format == MultiplierFormat::F32) format = MultiplierFormat::F32;
  }
  result.rule_bytes =
      size_of(nn::conv_layers(fast), packed.bits(), SizeRule::Packed, packed.assignment().options.block, format).bytes;

  const Tensor a = fast.forward(images, {}).value(), b = slow.forward(images, {}).value();
  result.images = a.rows();
  for (int64_t n = 0; n < a.rows(); ++n) {
    const float *x = a.row<float>(n), *y = b.row<float>(n);
    for (int64_t c = 0; c < a.cols(); ++c) {
      result.largest_difference = std::max(result.largest_difference, static_cast<double>(std::fabs(x[c] - y[c])));
      result.largest_logit = std::max(result.largest_logit, static_cast<double>(std::fabs(y[c])));
    }
    result.same_class += std::max_element(x, x + a.cols()) - x == std::max_element(y, y + a.cols()) - y;
  }
  return result;
}

}  // namespace kronbit::quant
