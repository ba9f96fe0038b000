#include "quant/engine/device/device_choice.h"

#include <algorithm>
#include <limits>

#include "tensor/io/text.h"

namespace kronbit::quant {
namespace {

/// Calls of a kernel that are timed together, and how often: launches cost some microseconds each.
constexpr int kTimedCalls = 5, kTimings = 3;

}  // namespace

std::vector<std::byte> packed_weights(const DeviceKernel& kernel, const LayerShape& shape, const PackedLayer& layer) {
  std::vector<std::byte> bytes(static_cast<size_t>(kernel.packed_bytes(shape)));
  kernel.pack(shape, layer, bytes.data());
  return bytes;
}

DeviceChooser::DeviceChooser(Device& device, const DeviceEngineOptions& options)
    : device_(device), exact_(options.exact), kernels_(device_kernels(device)) {
  if (kernels_.products.empty()) throw Error("[engine] this build has no kernels for the device");
  if (options.kernel.empty()) return;
  std::string names;
  for (const DeviceKernel* kernel : kernels_.products) {
    if (kernel->name == options.kernel) forced_ = kernel;
    names += (names.empty() ? "" : ", ") + std::string(kernel->name);
  }
  if (forced_ == nullptr) input_error("kernel", "wanted one of {}, got {}", names, quote(options.kernel));
  if (exact_ && !forced_->exact)
    input_error("kernel", "{}: wanted one of integer products (exact), got one that rounds", forced_->name);
}

const DeviceKernel& DeviceChooser::choose(const DeviceConv& site, const PackedLayer& layer, LayerChoice& choice) {
  if (forced_ != nullptr && forced_->declines(site) == nullptr) {
    forced_used_ = true;
    choice.kernel = forced_->name;
    return *forced_;
  }
  struct Timed {
    const DeviceKernel* kernel;
    double microseconds;
  };
  std::vector<Timed> candidates;
  const int capability = device_.properties().capability;
  for (const DeviceKernel* kernel : kernels_.products)
    if (kernel->declines(site) == nullptr && (kernel->exact || !exact_) &&
        (device_.simulated() || kernel->capability <= capability))
      candidates.push_back({kernel, 0});
  if (candidates.empty()) input_error("engine", "{}: no kernel of this device takes such a layer", choice.layer);
  if (candidates.size() > 1 && !device_.simulated()) {
    for (Timed& c : candidates) c.microseconds = microseconds(*c.kernel, site, layer);
    std::ranges::stable_sort(candidates, {}, &Timed::microseconds);
    choice.microseconds = candidates[0].microseconds / static_cast<double>(site.images);
    choice.runner_up = candidates[1].kernel->name;
    choice.runner_up_microseconds = candidates[1].microseconds / static_cast<double>(site.images);
  }
  choice.kernel = candidates[0].kernel->name;
  return *candidates[0].kernel;
}

/// Of one call, rows packed anew included, on numbers of both signs (zeros take less power, so less time).
double DeviceChooser::microseconds(const DeviceKernel& kernel, const DeviceConv& site, const PackedLayer& layer) {
  const int64_t pitch = 32 * ((site.layer.outputs + 31) / 32), lanes = 32 * site.layer.blocks();
  std::vector<float> numbers(static_cast<size_t>(site.in_rows() * lanes));
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>(i * 2654435761u % 1021) / 512 - 1;
  DeviceArray<float> x(device_, numbers), y(device_, site.out_rows() * pitch);
  DeviceArray<std::byte> mantissas(device_, 64 * site.in_rows() * site.layer.blocks());
  DeviceArray<float> steps(device_, site.in_rows() * site.layer.blocks());
  DeviceArray<int32_t> sums(device_, site.in_rows() * site.layer.blocks());
  DeviceArray<std::byte> weights(device_, packed_weights(kernel, site.layer, layer));
  const DeviceRows rows{kernel.form,      site.layer.activations, site.layer.blocks(),
                        mantissas.data(), steps.data(),           sums.data()};
  const DeviceQueue queue{device_.stream(), false};
  const auto calls = [&] {
    for (int i = 0; i < kTimedCalls; ++i) {
      kernels_.pack_rows(x.data(), lanes, site.in_rows(), rows, queue);
      kernel.run(site, weights.data(), rows, y.data(), pitch, queue);
    }
  };
  calls();
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < kTimings; ++i) best = std::min(best, device_.seconds(calls));
  return best * 1e6 / kTimedCalls;
}

}  // namespace kronbit::quant
