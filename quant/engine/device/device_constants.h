// What the plans of one network read on a device and never write, weights before all: uploaded once, shared by all.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tensor/cuda/device.h"

namespace kronbit::quant {

class DeviceConstants {
 public:
  explicit DeviceConstants(Device& device) : device_(device) {}

  /// The numbers called `name`, on the device; `make` makes them when they are first asked for, a vector.
  /// Throws: Error when the device has no memory.
  template <class Make>
  auto get(const std::string& name, const Make& make) {
    using T = typename decltype(make())::value_type;
    std::shared_ptr<void>& memory = by_name_[name];
    if (!memory) {
      const std::vector<T> numbers = make();
      const size_t bytes = numbers.size() * sizeof(T);
      memory = device_.allocate(bytes);
      device_.upload(memory.get(), numbers.data(), bytes);
      bytes_ += static_cast<int64_t>(bytes);
    }
    return static_cast<const T*>(memory.get());
  }
  int64_t bytes() const { return bytes_; }

 private:
  Device& device_;
  std::map<std::string, std::shared_ptr<void>> by_name_;
  int64_t bytes_ = 0;
};

}  // namespace kronbit::quant
