// The end of work that a signal asked to stop.
#pragma once

#include "tensor/base/error.h"

namespace kronbit {

/// Thrown where a stop flag is seen. No failure: apps end with the exit code of the signal and without a message.
class Stopped : public Error {
 public:
  using Error::Error;
};

}  // namespace kronbit
