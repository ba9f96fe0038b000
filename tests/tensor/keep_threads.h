// Tests that change the number of threads.
#pragma once

#include "tensor/parallel.h"

namespace kronbit {

/// Sets the number of threads back, however the test ends.
struct KeepThreads {
  const int before = threads();
  ~KeepThreads() { set_threads(before); }
};

}  // namespace kronbit
