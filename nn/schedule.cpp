#include "nn/schedule.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>

#include "tensor/base/error.h"

namespace kronbit::nn {
namespace {

/// From `from` at 0 to `to` at 1 along half a cosine.
double half_cosine(double from, double to, double at) {
  return to + (from - to) * (1 + std::cos(std::numbers::pi * at)) / 2;
}

double one_cycle(const Schedule& s, double base, int64_t step, int64_t total_steps) {
  const double start = base / s.start_divisor, last = static_cast<double>(total_steps - 1);
  const double top = std::min(s.rise * static_cast<double>(total_steps) - 1, last);
  const double at = static_cast<double>(step);
  if (at < top) return half_cosine(start, base, at / top);
  if (last == top || total_steps == 1) return base;
  return half_cosine(base, start / s.end_divisor, (at - top) / (last - top));
}

[[noreturn]] void refuse(std::string_view text) {
  input_error("schedule", "wanted constant, step:30,45 (increasing epochs), cosine or onecycle, got '{}'", text);
}

}  // namespace

void check_schedule(const Schedule& s) {
  const auto check = [](const char* what, double value, bool good, const char* wanted) {
    if (!good || !std::isfinite(value)) input_error("schedule", "{}: wanted {}, got {}", what, wanted, value);
  };
  check("gamma", s.gamma, s.gamma >= 0, "a number from 0 on");
  check("rise", s.rise, s.rise >= 0 && s.rise <= 1, "0..1");
  check("start divisor", s.start_divisor, s.start_divisor > 0, "a number above 0");
  check("end divisor", s.end_divisor, s.end_divisor > 0, "a number above 0");
  check("warm-up", s.warmup_epochs, s.warmup_epochs >= 0, "epochs from 0 on");
}

double learning_rate(const Schedule& schedule, double base, int64_t step, int64_t total_steps,
                     int64_t steps_per_epoch) {
  KB_CHECK(0 <= step && step < total_steps && steps_per_epoch > 0);
  double rate = base;
  if (schedule.kind == Schedule::Kind::Step) {
    for (int64_t epoch : schedule.milestones)
      if (step / steps_per_epoch >= epoch) rate *= schedule.gamma;
  } else if (schedule.kind == Schedule::Kind::Cosine) {
    rate = half_cosine(base, 0, static_cast<double>(step) / static_cast<double>(total_steps));
  } else if (schedule.kind == Schedule::Kind::OneCycle) {
    rate = one_cycle(schedule, base, step, total_steps);
  }
  const double warmup_steps = schedule.warmup_epochs * static_cast<double>(steps_per_epoch);
  const double done = static_cast<double>(step + 1);
  return done < warmup_steps ? rate * done / warmup_steps : rate;
}

Schedule parse_schedule(std::string_view text) {
  Schedule schedule;
  if (text == "constant") return schedule;
  if (text == "cosine" || text == "onecycle") {
    schedule.kind = text == "cosine" ? Schedule::Kind::Cosine : Schedule::Kind::OneCycle;
    return schedule;
  }
  constexpr std::string_view kPrefix = "step:";
  if (!text.starts_with(kPrefix)) refuse(text);
  schedule.kind = Schedule::Kind::Step;
  const char *at = text.data() + kPrefix.size(), *end = text.data() + text.size();
  for (;;) {
    int64_t epoch = 0;
    const auto [next, failure] = std::from_chars(at, end, epoch);
    const int64_t previous = schedule.milestones.empty() ? 0 : schedule.milestones.back();
    if (failure != std::errc() || epoch <= previous) refuse(text);
    schedule.milestones.push_back(epoch);
    if (next == end) return schedule;
    if (*next != ',') refuse(text);
    at = next + 1;
  }
}

std::string format_schedule(const Schedule& schedule) {
  switch (schedule.kind) {
    case Schedule::Kind::Step:
      return fmt::format("step:{}", fmt::join(schedule.milestones, ","));
    case Schedule::Kind::Cosine:
      return "cosine";
    case Schedule::Kind::OneCycle:
      return "onecycle";
    case Schedule::Kind::Constant:
      break;
  }
  return "constant";
}

}  // namespace kronbit::nn
