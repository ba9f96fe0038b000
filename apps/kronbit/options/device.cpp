#include "apps/kronbit/options/device.h"

#include "tensor/base/error.h"
#include "tensor/io/text.h"

namespace kronbit::app {

void add_device_option(CLI::App* command, std::string& device) {
  command->add_option("--device", device,
                      "cpu, cuda (an NVIDIA GPU), or simulated (the GPU's kernels on this processor: slow)");
}

void check_device(const std::string& name) {
  if (name != "cpu" && name != "cuda" && name != "simulated")
    input_error("--device", "wanted cpu, cuda or simulated, got {}", quote(name));
}

std::unique_ptr<Device> open_device(const std::string& name) {
  check_device(name);
  if (name == "cpu") return nullptr;
  if (name == "simulated") return open_simulated_device();
  std::string why;
  std::unique_ptr<Device> device = open_cuda_device(why);
  if (!device) throw Error("[--device] cuda: " + why);
  return device;
}

}  // namespace kronbit::app
