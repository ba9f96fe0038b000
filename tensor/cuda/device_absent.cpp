// In builds without CUDA: there is no GPU, and this is why.
#include "tensor/cuda/device.h"

namespace kronbit {

std::unique_ptr<Device> open_cuda_device(std::string& why) {
  why = "this build has no CUDA (the CUDA toolkit was not there, or make CUDA=0)";
  return nullptr;
}

}  // namespace kronbit
