// The plan behind device_engine.h for one number of images: values and the steps that make them, buffers in one piece
// of device memory.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "nn/network.h"
#include "quant/engine/device/device_constants.h"
#include "quant/engine/device/device_engine.h"
#include "quant/engine/device/steps.h"
#include "quant/engine/plan.h"
#include "quant/kernels/cuda/device_product.h"

namespace kronbit::quant {

class DevicePlan {
 public:
  /// Throws: InputError for blocks other than 32 and for an operator that plans have no step for.
  static void check(const nn::Network& net);

  /// constants: of the plans of `net`; outlive them.
  /// Requires: check(net). Throws: InputError as DeviceChooser; Error when the device has no memory or no kernels.
  DevicePlan(const nn::Network& net, int64_t images, Device& device, const DeviceEngineOptions& options,
             DeviceConstants& constants);

  int64_t images() const { return images_; }
  /// x [H][W][images][3] f32; logits [images][classes].
  void run(const Tensor& x, float* logits);
  const std::vector<LayerChoice>& choices() const { return choices_; }
  int64_t buffer_bytes() const { return buffer_bytes_; }
  bool exact() const { return exact_; }
  bool forced_was_used() const { return forced_used_; }
  bool ran() const { return ran_; }

 private:
  friend class DevicePlanner;
  /// A place in the memory, which is there when steps run.
  template <class T>
  T* at(int place) const {
    return reinterpret_cast<T*>(static_cast<std::byte*>(buffers_.get()) + places_[static_cast<size_t>(place)].offset);
  }
  float* numbers(int v) const { return at<float>(values_[static_cast<size_t>(v)].numbers); }
  DeviceRows rows(int v, const PackedCopy& copy) const;

  Device& device_;
  int64_t images_;
  std::vector<Value> values_;
  std::vector<Place> places_;
  std::vector<std::function<void()>> steps_;
  std::shared_ptr<void> recorded_;  // all of them, begun as one
  std::shared_ptr<void> buffers_;
  std::vector<LayerChoice> choices_;
  int output_ = 0;
  int64_t buffer_bytes_ = 0;
  bool exact_ = true, forced_used_ = false, ran_ = false;
};

}  // namespace kronbit::quant
