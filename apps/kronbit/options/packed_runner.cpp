#include "apps/kronbit/options/packed_runner.h"

#include <set>

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

Tensor PackedRunner::classify(const Tensor& x) { return gpu_ ? gpu_->classify(x) : processor_->classify(x); }

std::string kernel_summary(const std::vector<quant::PlanReport>& plans) {
  std::set<std::string> different;
  std::string of_each;
  for (const quant::PlanReport& plan : plans) {
    const std::string summary = kernel_summary(plan.choices);
    different.insert(summary);
    of_each += fmt::format("{}{} ({} at once)", of_each.empty() ? "" : "; ", summary, plan.images);
  }
  return different.size() == 1 ? *different.begin() : of_each;
}

}  // namespace kronbit::app
