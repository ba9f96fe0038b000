// Which kernel of a device runs a layer: those that come into question are timed on rows and weights of its own shape.
#pragma once

#include <cstddef>
#include <vector>

#include "quant/engine/device/device_engine.h"
#include "quant/kernels/cuda/device_product.h"

namespace kronbit::quant {

/// The weights as a kernel wants them.
std::vector<std::byte> packed_weights(const DeviceKernel& kernel, const LayerShape& shape, const PackedLayer& layer);

class DeviceChooser {
 public:
  /// Throws: Error when the device has no kernels; InputError when the forced kernel is unknown, or rounds where exact
  ///         ones are wanted.
  DeviceChooser(Device& device, const DeviceEngineOptions& options);
  /// The kernels that come into question for a layer, best guess first.
  std::vector<const DeviceKernel*> candidates(const DeviceConv& site) const;
  /// The kernel that is fastest here; where only one comes into question, or nothing can be timed, the first. Fills in
  /// what `choice` says of it. Throws: InputError when none takes the layer.
  const DeviceKernel& choose(const DeviceConv& site, const PackedLayer& layer, LayerChoice& choice);
  /// Whether the forced kernel was chosen for some layer.
  bool forced_was_used() const { return forced_used_; }
  PackDeviceRows pack_rows() const { return kernels_.pack_rows; }

 private:
  struct Samples;
  bool is_plausible(const DeviceKernel& kernel, const DeviceConv& site) const;
  /// Of one call; measured once only where that is hopeless beside `best`.
  double microseconds(const DeviceKernel& kernel, const DeviceConv& site, const PackedLayer& layer, Samples& samples,
                      double best);

  Device& device_;
  bool exact_;
  DeviceKernels kernels_;
  const DeviceKernel* forced_ = nullptr;
  bool forced_used_ = false;
};

}  // namespace kronbit::quant
