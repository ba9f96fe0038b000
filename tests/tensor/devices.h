// The devices that tests run on: the simulated GPU, and a real one where there is one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tensor/cuda/device.h"

namespace kronbit {

inline std::vector<std::unique_ptr<Device>> devices() {
  std::vector<std::unique_ptr<Device>> all;
  all.push_back(open_simulated_device());
  std::string why;
  if (std::unique_ptr<Device> gpu = open_cuda_device(why)) all.push_back(std::move(gpu));
  return all;
}

}  // namespace kronbit
