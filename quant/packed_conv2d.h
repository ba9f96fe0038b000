// Convolutions of a packed network: the weights are fixed, already multipliers times integers; nothing is trained.
#pragma once

#include <memory>

#include "quant/ds_conv2d.h"
#include "quant/packed_layer.h"

namespace kronbit::quant {

/// Which computation stands in a packed network's operators. Dequantized: planes turned to FP32 weights once, then nn's
/// convolution. Reference: the integer product straight from the planes (kernels/reference.h), slow. Both are there to
/// compare with; engine/engine.h is what runs a packed network.
enum class PackedKernel { Dequantized, Reference };
const char* name_of(PackedKernel kernel);  ///< "dequantized"

/// Formula:  y = conv2d(Qa(x), w), w the dequantized weights or, by the reference, the planes. No gradients.
/// Takes the place of a DsConv2d: same shapes, same options for the input.
class PackedConv2d : public nn::Op {
 public:
  PackedConv2d(const nn::Conv2dOptions& conv, const DsConvOptions& options, std::shared_ptr<const PackedLayer> layer,
               PackedKernel kernel);
  const nn::Conv2dOptions& options() const { return op_.options(); }
  const DsConvOptions& quantization() const { return op_.quantization(); }
  const PackedLayer& layer() const { return *layer_; }
  std::string_view kind() const override { return "dsconv"; }
  std::string describe() const override { return op_.describe() + ", " + name_of(kernel_); }
  Shape output_shape(std::span<const Shape> inputs) const override { return op_.output_shape(inputs); }
  std::vector<nn::ParameterSpec> parameters() const override { return op_.parameters(); }
  nn::Var apply(std::span<const nn::Var> inputs, std::span<nn::Var> parameters,
                const nn::RunContext& context) const override;

 private:
  DsConv2d op_;
  std::shared_ptr<const PackedLayer> layer_;
  PackedKernel kernel_;
};

}  // namespace kronbit::quant
