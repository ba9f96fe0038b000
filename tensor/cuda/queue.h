// Where a kernel is started: all that a function that starts one needs to know of a device.
#pragma once

namespace kronbit {

/// `stream` as Device::stream() gives it. `backward` only where simulated: the threads of a block take turns the other
/// way round.
struct DeviceQueue {
  void* stream = nullptr;
  bool backward = false;
};

}  // namespace kronbit
