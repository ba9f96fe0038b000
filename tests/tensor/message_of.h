// What a refusal says.
#pragma once

#include <string>

#include "tensor/base/error.h"

namespace kronbit {

/// The message of the E that f() throws, or "nothing was thrown".
template <class E = InputError, class F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const E& error) {
    return error.what();
  }
  return "nothing was thrown";
}

}  // namespace kronbit
