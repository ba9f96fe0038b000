#include "quant/cuda/device_operands.h"

#include "nn/cuda/device_ops.h"
#include "quant/cuda/device_quantizers.h"

namespace kronbit::quant {
namespace {

class QuantizedOperands final : public nn::DeviceOperands {
 public:
  QuantizedOperands(const DsConvOptions& options, const Device& device)
      : options_(options),
        format_{options.bits, options.signed_input, static_cast<int>(options.block)},
        quantizers_(device_quantizers(device)) {}

  bool keeps_input() const override { return !options_.quantize_input; }
  void input(int64_t rows, int channels, const bf16* x, bf16* y, const DeviceQueue& queue) const override {
    quantizers_.rows(x, y, rows, nn::channels_pitch(channels), channels, format_, queue);
  }
  void input_gradient(int64_t rows, int channels, const bf16* x, bf16* dx, const DeviceQueue& queue) const override {
    quantizers_.rows_backward(dx, x, dx, rows, nn::channels_pitch(channels), channels, format_, queue);
  }
  void weights(int64_t outputs, int channels, int taps, const float* w, float* y,
               const DeviceQueue& queue) const override {
    quantizers_.weights(outputs, channels, taps, w, options_.bits, mode_at(options_.mode, options_.bits), format_.block,
                        y, queue);
  }

 private:
  DsConvOptions options_;
  DeviceActivationFormat format_;
  const DeviceQuantizers& quantizers_;
};

}  // namespace

std::shared_ptr<const nn::DeviceOperands> device_operands(const DsConvOptions& options, const Device& device) {
  return std::make_shared<QuantizedOperands>(options, device);
}

}  // namespace kronbit::quant
