#include "tensor/base/error.h"

namespace kronbit::detail {

void check_failed(const char* file, int line, const char* expression, const std::string& values) {
  throw InternalError(
      fmt::format("{}:{}: check failed: {}{}{}", file, line, expression, values.empty() ? "" : ": ", values));
}

}  // namespace kronbit::detail
