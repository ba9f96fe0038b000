#include "quant/ds_conv2d.h"

#include "tensor/bits.h"

namespace kronbit::quant {

nn::Var ds_conv2d(const nn::Var& x, const nn::Var& w, const nn::Conv2dOptions& conv, const DsConvOptions& options) {
  const ActivationFormat format = options.input_format();
  const Tensor xq = options.quantize_input ? quantize_activations(x.value(), format) : x.value();
  const Tensor wq = fake_quantize_weights(w.value(), options.bits, options.mode, options.block);
  return nn::record(nn::conv2d_forward(xq, wq, conv), {x, w}, [=](const Tensor& dy) {
    if (x.requires_grad()) {
      const Tensor dxq = nn::conv2d_backward_data(dy, wq, x.value().shape(), conv);
      x.add_grad(options.quantize_input ? quantize_activations_backward(dxq, x.value(), format) : dxq);
    }
    if (w.requires_grad()) w.add_grad(nn::conv2d_backward_weights(dy, xq, conv));
  });
}

DsConv2d::DsConv2d(const nn::Conv2dOptions& conv, const DsConvOptions& options) : conv_(conv), options_(options) {
  check_bits("dsconv", {options.bits}, 1);
  check_block(options.block);
  mode_at(options.mode, options.bits);
}

std::string DsConv2d::describe() const {
  const char* input = !options_.quantize_input ? "fp32" : options_.signed_input ? "signed" : "unsigned";
  return fmt::format("{}, {} bits {}, block {}, {} input", conv_.describe(), options_.bits,
                     name_of(mode_at(options_.mode, options_.bits)), options_.block, input);
}

nn::Var DsConv2d::apply(std::span<const nn::Var> inputs, std::span<nn::Var> parameters, const nn::RunContext&) const {
  return ds_conv2d(inputs[0], parameters[0], conv_.options(), options_);
}

}  // namespace kronbit::quant
