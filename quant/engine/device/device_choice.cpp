#include "quant/engine/device/device_choice.h"

#include <algorithm>
#include <limits>

#include "quant/kernels/bitserial/planes.h"
#include "tensor/io/text.h"

namespace kronbit::quant {
namespace {

/// Calls of a kernel that are timed together, and how often: launches cost some microseconds each.
constexpr int kTimedCalls = 5, kTimings = 3;
constexpr double kHopeless = 2;  ///< times as slow as the best: not worth another timing

}  // namespace

/// What all kernels are timed on: numbers of both signs (zeros take less power, so less time), and room for rows packed
/// in any form and for results.
struct DeviceChooser::Samples {
  int64_t lanes, pitch;
  DeviceArray<float> x, y;
  DeviceArray<std::byte> mantissas;
  DeviceArray<float> steps;
  DeviceArray<int32_t> sums;

  Samples(Device& device, const DeviceConv& site)
      : lanes(32 * site.layer.blocks()),
        pitch(32 * ((site.layer.outputs + 31) / 32)),
        x(device, numbers(site.in_rows() * lanes)),
        y(device, site.out_rows() * pitch),
        mantissas(device, 64 * site.in_rows() * site.layer.blocks()),
        steps(device, site.in_rows() * site.layer.blocks()),
        sums(device, site.in_rows() * site.layer.blocks()) {}

  static std::vector<float> numbers(int64_t count) {
    std::vector<float> all(static_cast<size_t>(count));
    for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<float>(i * 2654435761u % 1021) / 512 - 1;
    return all;
  }
};

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

bool DeviceChooser::is_plausible(const DeviceKernel& kernel, const DeviceConv& site) const {
  if (kernel.declines(site) != nullptr || (exact_ && !kernel.exact)) return false;
  if (kernel.family == "bf16-split") return false;  // all that bf16 does, twice: for the asking only
  return kernel.family != "bitserial" || site.layer.bits * site.layer.activations.bits <= bitserial::kMostPlaneProducts;
}

std::vector<const DeviceKernel*> DeviceChooser::candidates(const DeviceConv& site) const {
  std::vector<const DeviceKernel*> list;
  for (const DeviceKernel* kernel : kernels_.products)
    if (is_plausible(*kernel, site)) list.push_back(kernel);
  return list;
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
  std::vector<Timed> timed;
  for (const DeviceKernel* kernel : candidates(site)) timed.push_back({kernel, 0});
  if (timed.empty()) input_error("engine", "{}: no kernel of this device takes such a layer", choice.layer);
  if (timed.size() > 1 && !device_.simulated()) {
    Samples samples(device_, site);
    double best = std::numeric_limits<double>::infinity();
    for (Timed& c : timed) {
      c.microseconds = microseconds(*c.kernel, site, layer, samples, best);
      best = std::min(best, c.microseconds);
    }
    std::ranges::stable_sort(timed, {}, &Timed::microseconds);
    choice.microseconds = timed[0].microseconds / static_cast<double>(site.images);
    choice.runner_up = timed[1].kernel->name;
    choice.runner_up_microseconds = timed[1].microseconds / static_cast<double>(site.images);
  }
  choice.kernel = timed[0].kernel->name;
  return *timed[0].kernel;
}

/// Rows are packed anew in every call.
double DeviceChooser::microseconds(const DeviceKernel& kernel, const DeviceConv& site, const PackedLayer& layer,
                                   Samples& samples, double best) {
  DeviceArray<std::byte> weights(device_, packed_weights(kernel, site.layer, layer));
  const DeviceRows rows{kernel.form,          site.layer.activations, site.layer.blocks(), samples.mantissas.data(),
                        samples.steps.data(), samples.sums.data()};
  const DeviceQueue queue{device_.stream(), false};
  const auto call = [&] {
    kernels_.pack_rows(samples.x.data(), samples.lanes, site.in_rows(), rows, queue);
    kernel.run(site, weights.data(), rows, samples.y.data(), samples.pitch, queue);
  };
  call();  // what is only done once
  double mine = std::numeric_limits<double>::infinity();
  for (int i = 0; i < kTimings && (i == 0 || mine <= kHopeless * best); ++i) {
    const double seconds = device_.seconds([&] {
      for (int k = 0; k < kTimedCalls; ++k) call();
    });
    mine = std::min(mine, seconds * 1e6 / kTimedCalls);
  }
  return mine;
}

}  // namespace kronbit::quant
