#include "tensor/cuda/failure.h"

#include "tensor/base/error.h"

namespace kronbit {

void device_failure(const char* what, const char* why) { throw Error(fmt::format("[cuda] {}: {}", what, why)); }

}  // namespace kronbit
