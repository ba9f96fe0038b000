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
  std::vector<quant::PlanReport> plans_that_ran() const {
    return processor_ ? processor_->plans_that_ran() : gpu_->plans_that_ran();
  }

 private:
  std::unique_ptr<Device> device_;
  std::unique_ptr<quant::Engine> processor_;
  std::unique_ptr<quant::DeviceEngine> gpu_;
};

/// Kernels and how many layers each runs: "dense 1, int8-avx512vnni 12". Where plans differ, of each:
/// "dense 1, int8-avx512vnni 12 (1 at once); dense 1, bf16-amx 12 (8 at once)".
std::string kernel_summary(const std::vector<quant::PlanReport>& plans);

}  // namespace kronbit::app
