// The convolution of a quantized network: same weights and shapes as nn::Conv2d, but the product is formed from
// quantized operands. It takes the place of a network's convolutions (assign.h).
#pragma once

#include "nn/ops/conv2d.h"
#include "quant/quantizer.h"

namespace kronbit::quant {

struct DsConvOptions {
  int bits = 8;  ///< of weights and activations alike
  Mode mode = Mode::SignedExtreme;
  int64_t block = kBlock;
  bool quantize_input = true;  ///< false where the image itself comes in, or activations stay in FP32
  bool signed_input = true;    ///< whether the input can be negative

  ActivationFormat input_format() const { return {bits, signed_input, block}; }
};

/// Formula:  y = conv2d(Qa(x), Qw(w)); dx = conv2d_backward_data(dy, Qw(w)), 0 where x saturated;
///           dw = conv2d_backward_weights(dy, Qa(x)): both quantizers count as the identity (straight through)
/// Shapes:   as nn::Conv2d; w is the FP32 shadow weight, quantized afresh in every pass
/// Source:   paper §3.1; Bengio, Leonard, Courville 2013 (straight-through estimator)
class DsConv2d : public nn::Convolution {
 public:
  /// Throws: InputError for bits, block or mode out of range.
  DsConv2d(const nn::Conv2dOptions& conv, const DsConvOptions& quantization);
  const DsConvOptions& quantization() const { return quantization_; }

  std::string_view kind() const override { return "dsconv"; }
  std::string describe() const override;
  Tensor input(const Tensor& x) const override;
  Tensor weights(const Tensor& w) const override;
  Tensor input_gradient(Tensor dx, const Tensor& x) const override;
  std::shared_ptr<const nn::DeviceOperands> on_device(const Device& device) const override;

 private:
  DsConvOptions quantization_;
};

}  // namespace kronbit::quant
