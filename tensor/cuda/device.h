// Where the kernels of simt.h run and the memory they work on: a GPU, or this processor in its place ("simulated"),
// which runs the same kernels thread by thread: for tests and for learning, not for work. No CUDA header is needed to
// use it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace kronbit {

/// What kernels are chosen by.
struct DeviceProperties {
  std::string name;    ///< "NVIDIA H200"; "simulated"
  int capability = 0;  ///< 90 = compute capability 9.0; 0 where simulated
  int multiprocessors = 1;
  size_t memory_bytes = 0, free_bytes = 0;
};

/// One device and one stream of work on it: calls are carried out in order. One caller at a time.
class Device {
 public:
  virtual ~Device() = default;
  virtual bool simulated() const = 0;
  virtual DeviceProperties properties() const = 0;
  /// Memory of the device, aligned to 256 bytes, not zeroed; 0 bytes allowed. Throws: Error when there is no more.
  virtual std::shared_ptr<void> allocate(size_t bytes) = 0;
  /// Copies; they return when the host's memory may be used again.
  virtual void upload(void* to, const void* from, size_t bytes) = 0;
  virtual void download(void* to, const void* from, size_t bytes) = 0;
  virtual void zero(void* to, size_t bytes) = 0;
  /// Waits for all that was begun. Throws: Error when a kernel failed: the device is then of no more use to this
  /// process.
  virtual void synchronize() = 0;
  /// Keeps what `work` would begin (kernels and zero(), no copies, no allocation), to be begun as one by replay(): on a
  /// GPU a graph, whose many small kernels follow each other without the host. The pointers they work on must stay.
  virtual std::shared_ptr<void> record(const std::function<void()>& work) = 0;
  virtual void replay(const std::shared_ptr<void>& recorded) = 0;
  /// Seconds that the device needs for what `work` begins.
  virtual double seconds(const std::function<void()>& work) = 0;
  /// As Launch::stream.
  virtual void* stream() const = 0;
};

/// The GPU, or nullptr and in `why` the reason, in one line.
std::unique_ptr<Device> open_cuda_device(std::string& why);
std::unique_ptr<Device> open_simulated_device();

/// `count` numbers in a device's memory. Copies share it.
template <class T>
class DeviceArray {
 public:
  DeviceArray() = default;
  DeviceArray(Device& device, int64_t count)
      : device_(&device), count_(count), memory_(device.allocate(static_cast<size_t>(count) * sizeof(T))) {}
  DeviceArray(Device& device, const T* from, int64_t count) : DeviceArray(device, count) { upload(from); }
  DeviceArray(Device& device, const std::vector<T>& from)
      : DeviceArray(device, from.data(), static_cast<int64_t>(from.size())) {}

  T* data() { return static_cast<T*>(memory_.get()); }
  const T* data() const { return static_cast<const T*>(memory_.get()); }
  int64_t count() const { return count_; }
  size_t bytes() const { return static_cast<size_t>(count_) * sizeof(T); }
  void upload(const T* from) { device_->upload(data(), from, bytes()); }
  std::vector<T> values() const {
    std::vector<T> all(static_cast<size_t>(count_));
    device_->download(all.data(), data(), bytes());
    return all;
  }
  void zero() { device_->zero(data(), bytes()); }

 private:
  Device* device_ = nullptr;
  int64_t count_ = 0;
  std::shared_ptr<void> memory_;
};

}  // namespace kronbit
