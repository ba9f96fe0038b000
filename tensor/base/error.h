// The three kinds of failure, and the checks. Apps turn InputError into one line and exit code 2, Error into one line
// and exit code 1; InternalError is our own mistake. Messages read `[where] what: wanted ..., got ...`.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <string_view>

namespace kronbit {

/// The work failed (I/O, numbers): exit code 1.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The command line or an input (file, flag, shape) is wrong: exit code 2.
class InputError : public Error {
 public:
  using Error::Error;
};

/// A factorization, a loss or a fit broke down; the message says what to do: exit code 1.
class NumericalError : public Error {
 public:
  using Error::Error;
};

/// A broken promise of our own code.
class InternalError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

/// Throws InputError "[where] message", formatted as fmt::format.
template <class... Args>
[[noreturn]] void input_error(std::string_view where, fmt::format_string<Args...> text, Args&&... args) {
  throw InputError(fmt::format("[{}] {}", where, fmt::format(text, std::forward<Args>(args)...)));
}

namespace detail {
[[noreturn]] void check_failed(const char* file, int line, const char* expression, const std::string& values);
}

}  // namespace kronbit

/// A promise of our own code, checked in every build; throws InternalError.
#define KB_CHECK(condition) \
  ((condition) ? void() : ::kronbit::detail::check_failed(__FILE__, __LINE__, #condition, std::string()))
/// a == b, printing both.
#define KB_CHECK_EQ(a, b) \
  (((a) == (b))           \
       ? void()           \
       : ::kronbit::detail::check_failed(__FILE__, __LINE__, #a " == " #b, fmt::format("{} vs {}", (a), (b))))
