#include "apps/kronbit/options/packed_runner.h"

#include "apps/kronbit/options/common.h"

namespace kronbit::app {

PackedRunner::PackedRunner(const quant::PackedNetwork& packed, const Frame& frame, const std::filesystem::path& model,
                           bool exact, const std::string& device)
    : device_(open_device(device)) {
  const quant::EngineOptions options = engine_options(frame, model, exact);
  if (device_) {
    gpu_ = std::make_unique<quant::DeviceEngine>(
        packed, *device_, quant::DeviceEngineOptions{.exact = options.exact, .kernel = options.kernel});
  } else {
    processor_ = std::make_unique<quant::Engine>(packed, options);
  }
}

Tensor PackedRunner::classify(const Tensor& x) {
  images_ = x.images();
  return gpu_ ? gpu_->classify(x) : processor_->classify(x);
}

const std::vector<quant::LayerChoice>& PackedRunner::choices() {
  return gpu_ ? gpu_->choices(images_) : processor_->throughput_choices();
}

}  // namespace kronbit::app
