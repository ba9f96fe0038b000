// What runs a packed network for the commands: the engine of this processor, or that of a GPU (--device).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "apps/kronbit/options/device.h"
#include "quant/engine/device/device_engine.h"
#include "quant/engine/engine.h"

namespace kronbit::app {

class PackedRunner {
 public:
  /// Throws: as the engines' constructors, and open_device().
  PackedRunner(const quant::PackedNetwork& packed, const Frame& frame, const std::filesystem::path& model, bool exact,
               const std::string& device);

  /// x [H][W][N][3], normalized; returns logits [1][1][N][classes].
  Tensor classify(const Tensor& x);
  /// What ran the convolutions of many images at once.
  const std::vector<quant::LayerChoice>& choices();
  bool exact() const { return processor_ ? processor_->exact() : gpu_->exact(); }

 private:
  std::unique_ptr<Device> device_;
  std::unique_ptr<quant::Engine> processor_;
  std::unique_ptr<quant::DeviceEngine> gpu_;
  int64_t images_ = 1;  // of the last call
};

}  // namespace kronbit::app
