// This processor in a GPU's place: its memory is ordinary memory, and what is begun is done when the call returns.
#include <unistd.h>

#include <chrono>
#include <cstring>

#include "tensor/cuda/device.h"
#include "tensor/memory.h"

namespace kronbit {
namespace {

class SimulatedDevice : public Device {
 public:
  bool simulated() const override { return true; }
  DeviceProperties properties() const override {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGE_SIZE));
    return {.name = "simulated",
            .capability = 0,
            .multiprocessors = 1,
            .memory_bytes = static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * page,
            .free_bytes = static_cast<size_t>(sysconf(_SC_AVPHYS_PAGES)) * page};
  }
  /// Of its own, from malloc, so that the address sanitizer sees its ends.
  std::shared_ptr<void> allocate(size_t bytes) override {
    return {::operator new (bytes, std::align_val_t{256}),
            [](void* p) { ::operator delete (p, std::align_val_t{256}); }};
  }
  void upload(void* to, const void* from, size_t bytes) override {
    if (bytes > 0) std::memcpy(to, from, bytes);
  }
  void download(void* to, const void* from, size_t bytes) override { upload(to, from, bytes); }
  void zero(void* to, size_t bytes) override {
    if (bytes > 0) std::memset(to, 0, bytes);
  }
  void synchronize() override {}
  std::shared_ptr<void> record(const std::function<void()>& work) override {
    return std::make_shared<std::function<void()>>(work);
  }
  void replay(const std::shared_ptr<void>& recorded) override {
    (*static_cast<const std::function<void()>*>(recorded.get()))();
  }
  double seconds(const std::function<void()>& work) override {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  void* stream() const override { return nullptr; }
};

}  // namespace

std::unique_ptr<Device> open_simulated_device() { return std::make_unique<SimulatedDevice>(); }

#ifndef KRONBIT_HAS_CUDA
std::unique_ptr<Device> open_cuda_device(std::string& why) {
  why = "this build has no CUDA (no toolkit of version 12 or later was there, or make CUDA=0)";
  return nullptr;
}
#endif

}  // namespace kronbit
