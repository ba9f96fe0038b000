#include "quant/ds_conv2d.h"

#include "quant/cuda/device_operands.h"
#include "tensor/bits.h"

namespace kronbit::quant {

DsConv2d::DsConv2d(const nn::Conv2dOptions& conv, const DsConvOptions& quantization)
    : Convolution(conv), quantization_(quantization) {
  check_bits("dsconv", {quantization.bits}, 1);
  check_block(quantization.block);
  mode_at(quantization.mode, quantization.bits);
}

std::string DsConv2d::describe() const {
  const DsConvOptions& q = quantization_;
  const char* input = !q.quantize_input ? "fp32" : q.signed_input ? "signed" : "unsigned";
  return fmt::format("{}, {} bits {}, block {}, {} input", nn::describe(options()), q.bits,
                     name_of(mode_at(q.mode, q.bits)), q.block, input);
}

Tensor DsConv2d::input(const Tensor& x) const {
  return quantization_.quantize_input ? quantize_activations(x, quantization_.input_format()) : x;
}

Tensor DsConv2d::weights(const Tensor& w) const {
  return fake_quantize_weights(w, quantization_.bits, quantization_.mode, quantization_.block);
}

Tensor DsConv2d::input_gradient(Tensor dx, const Tensor& x) const {
  return quantization_.quantize_input ? quantize_activations_backward(dx, x, quantization_.input_format()) : dx;
}

std::shared_ptr<const nn::DeviceOperands> DsConv2d::on_device(const Device& device) const {
  return device_operands(quantization_, device);
}

}  // namespace kronbit::quant
