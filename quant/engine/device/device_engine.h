// A packed network on a GPU: the same plan of steps as engine.h's, every step a kernel over all images at once. With
// exact kernels the outputs have the same bits as the processor's.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "quant/engine/device/device_constants.h"
#include "quant/engine/engine.h"
#include "tensor/cuda/device.h"

namespace kronbit::quant {

class DevicePlan;

struct DeviceEngineOptions {
  bool exact = false;       ///< integer products only
  std::string kernel = {};  ///< forced wherever it accepts the layer; "" = what is fastest on this device
};

/// Requires: one caller at a time; the device outlives it.
class DeviceEngine {
 public:
  /// Throws: InputError for an unknown kernel, one that rounds where exact ones are wanted, a kernel that no layer
  ///         accepts, blocks other than 32, an operator without a step; Error when the device has no memory or no
  ///         kernels.
  DeviceEngine(const PackedNetwork& network, Device& device, DeviceEngineOptions options = {});
  ~DeviceEngine();

  /// Images that run together at most; smaller numbers run in the next power of two.
  static constexpr int64_t kGroup = 256;

  int64_t classes() const { return classes_; }
  const nn::Network& network() const { return net_; }
  /// Shapes:   x [H][W][N][3] f32, normalized; logits [N][classes]
  /// Throws:   InputError when a size does not fit
  void run(const Tensor& x, std::span<float> logits);
  /// The same as a tensor [1][1][N][classes], for nn::evaluate().
  Tensor classify(const Tensor& x);

  /// One line per convolution of the plan that run() uses for so many images, as it was timed.
  const std::vector<LayerChoice>& choices(int64_t images);
  std::vector<PlanReport> plans_that_ran() const;  ///< so far, fewest images first
  int64_t memory_bytes() const;                    ///< of the device: weights and buffers of all plans so far
  bool exact() const;                              ///< every product so far is an integer one

 private:
  /// The number of images of the plan that runs n, of at most kGroup at a time.
  static int64_t group_of(int64_t n);
  DevicePlan& plan(int64_t images);

  Device& device_;
  DeviceEngineOptions options_;
  nn::Network net_;
  int64_t classes_;
  DeviceConstants constants_;
  std::map<int64_t, std::unique_ptr<DevicePlan>> plans_;  // by images
};

}  // namespace kronbit::quant
