#include "apps/kronbit/workers/deadlines.h"

#include <algorithm>

#include "tensor/base/error.h"
#include "tensor/io/parse.h"

namespace kronbit::app {
namespace {

constexpr double kTimes = 10;
constexpr double kLeast = 60;           // seconds: the first of a machine reads the data from a cold disk
constexpr double kEpochsToStart = 0.1;  // generous for the long ones when only short ones are known

}  // namespace

Deadlines Deadlines::parse(std::string_view text) {
  Deadlines deadlines;
  if (text == "auto") return deadlines;
  deadlines.automatic_ = false;
  if (text != "0" && text != "off") deadlines.fixed_ = parse_duration(text, "--deadline");
  return deadlines;
}

void Deadlines::learn(double epochs, double seconds) {
  Known& known = known_[epochs];
  ++known.count;
  known.seconds += seconds;
}

std::optional<Deadlines::Limit> Deadlines::of(double epochs) const {
  if (!automatic_) return fixed_ > 0 ? std::optional<Limit>({fixed_, 0}) : std::nullopt;
  if (known_.empty()) return std::nullopt;
  double expected = 0;
  if (const auto same = known_.find(epochs); same != known_.end()) {
    expected = same->second.mean();
  } else {
    for (const auto& [other, known] : known_)
      expected = std::max(expected, known.mean() * (epochs + kEpochsToStart) / (other + kEpochsToStart));
  }
  return Limit{std::max(kLeast, kTimes * expected), expected};
}

std::string Deadlines::Limit::reason() const {
  if (expected <= 0) return fmt::format("no result after {:.3g} s, the deadline", seconds);
  if (seconds > kTimes * expected)
    return fmt::format("no result after {:.0f} s, the least deadline (expected: {:.3g} s)", seconds, expected);
  return fmt::format("no result after {:.0f} s, {:.0f} times the expected {:.3g} s", seconds, kTimes, expected);
}

}  // namespace kronbit::app
