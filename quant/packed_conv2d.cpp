#include "quant/packed_conv2d.h"

#include "quant/kernels/reference.h"

namespace kronbit::quant {

const char* name_of(PackedKernel kernel) { return kernel == PackedKernel::Dequantized ? "dequantized" : "reference"; }

PackedConv2d::PackedConv2d(const nn::Conv2dOptions& conv, const DsConvOptions& options,
                           std::shared_ptr<const PackedLayer> layer, PackedKernel kernel)
    : op_(conv, options), layer_(std::move(layer)), kernel_(kernel) {
  KB_CHECK(layer_->shape == Shape({conv.out_channels, conv.in_channels, conv.kernel_h, conv.kernel_w}));
}

nn::Var PackedConv2d::apply(std::span<const nn::Var> inputs, std::span<nn::Var> parameters,
                            const nn::RunContext&) const {
  const Tensor& x = inputs[0].value();
  const bool integers = op_.quantization().quantize_input;
  const ActivationFormat format = op_.quantization().input_format();
  if (kernel_ == PackedKernel::Reference) {
    return nn::Var(integers ? packed_conv_reference(x, *layer_, op_.options(), format)
                            : packed_conv_reference(x, *layer_, op_.options()));
  }
  return nn::Var(nn::conv2d_forward(integers ? quantize_activations(x, format) : x, parameters[0].value(), op_.options()));
}

}  // namespace kronbit::quant
