// In builds without CUDA no device but the simulated one opens, so these are never called.
#include "nn/cuda/copies.h"

namespace kronbit::cuda {

const nn::DeviceCopies kDeviceCopies = {};

}  // namespace kronbit::cuda
