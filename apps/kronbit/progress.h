// Progress of long work on stderr: a bar with rate and time left on a terminal, otherwise a plain line now and then.
#pragma once

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

#include "apps/kronbit/command.h"

namespace kronbit::app {

/// Whether colours may be used on stderr: --color, then NO_COLOR, then TERM and whether it is a terminal.
bool use_color(const Frame& frame);

/// Words on stderr. One that is full or gone ends no work.
void write_stderr(const std::string& text);
template <typename... Values>
void tell(fmt::format_string<Values...> format, Values&&... values) {
  write_stderr(fmt::format(format, std::forward<Values>(values)...));
}

class Progress {
 public:
  /// `unit` is what is counted: "images", "evaluations".
  Progress(const Frame& frame, std::string label, std::string unit);
  ~Progress();
  /// `note` is appended: "loss 1.23". Draws at most ten times a second (a terminal) or once in 30 s (a file).
  void update(int64_t done, int64_t total, const std::string& note = "");
  /// Ends the bar, so that other lines can follow.
  void finish();
  /// A line of its own on stderr, above the bar.
  void log(const std::string& line);

 private:
  using Clock = std::chrono::steady_clock;
  void draw(int64_t done, int64_t total, const std::string& note);
  bool quiet_, terminal_, color_, drawn_ = false;
  std::string label_, unit_, last_;
  Clock::time_point start_, last_draw_;
  int64_t first_done_ = -1;
};

/// "42 s", "3 min 05 s", "2 h 10 min".
std::string duration_text(double seconds);

}  // namespace kronbit::app
