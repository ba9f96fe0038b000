#include "apps/kronbit/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace kronbit::app {
namespace {

bool dumb_terminal() {
  const char* term = std::getenv("TERM");
  return !term || std::string_view(term) == "dumb" || *term == '\0';
}

int terminal_columns() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

void write_stderr(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

bool use_color(const Frame& frame) {
  if (frame.color != "auto") return frame.color == "always";
  const char* no_color = std::getenv("NO_COLOR");
  if (no_color && *no_color) return false;
  return isatty(STDERR_FILENO) && !dumb_terminal();
}

std::string duration_text(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "?";
  const auto s = static_cast<int64_t>(std::llround(seconds));
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{} min {:02} s", s / 60, s % 60);
  return fmt::format("{} h {:02} min", s / 3600, s / 60 % 60);
}

Progress::Progress(const Frame& frame, std::string label, std::string unit)
    : quiet_(frame.quiet),
      terminal_(isatty(STDERR_FILENO) && !dumb_terminal()),
      color_(use_color(frame)),
      label_(std::move(label)),
      unit_(std::move(unit)),
      start_(Clock::now()),
      last_draw_(start_) {}

Progress::~Progress() { finish(); }

void Progress::update(int64_t done, int64_t total, const std::string& note) {
  if (quiet_) return;
  if (first_done_ < 0) first_done_ = done;
  const auto now = Clock::now();
  const auto pause = terminal_ ? std::chrono::milliseconds(100) : std::chrono::milliseconds(30000);
  if (done < total && now - last_draw_ < pause) return;
  last_draw_ = now;
  draw(done, total, note);
}

void Progress::draw(int64_t done, int64_t total, const std::string& note) {
  const double elapsed = std::chrono::duration<double>(Clock::now() - start_).count();
  const auto fresh = static_cast<double>(done - std::max<int64_t>(first_done_, 0));
  const double rate = elapsed > 0 ? fresh / elapsed : 0;
  std::string tail = fmt::format("{}/{} {}", done, total, unit_);
  if (rate > 0) {
    tail += rate >= 1 ? fmt::format("  {:.0f}/s", rate) : fmt::format("  {:.1f}/min", rate * 60);
    if (done < total) tail += fmt::format("  {} left", duration_text(static_cast<double>(total - done) / rate));
  }
  if (!note.empty()) tail += "  " + note;
  if (!terminal_) {
    write_stderr(fmt::format("{}: {}\n", label_, tail));
    return;
  }
  const int columns = terminal_columns();
  const int room = std::clamp(columns - static_cast<int>(label_.size() + tail.size()) - 6, 0, 30);
  std::string bar;
  if (room >= 5) {
    const auto full = total > 0 ? static_cast<int>(room * std::min(done, total) / total) : 0;
    bar = fmt::format("{}{}{}{} ", color_ ? "\x1b[32m" : "", std::string(static_cast<size_t>(full), '#'),
                      std::string(static_cast<size_t>(room - full), '-'), color_ ? "\x1b[0m" : "");
  }
  std::string text = fmt::format("{}: ", label_);
  const auto space =
      static_cast<size_t>(std::max(columns - 1 - static_cast<int>(text.size()) - (room >= 5 ? room + 1 : 0), 0));
  text += bar + tail.substr(0, space);
  last_ = text;
  drawn_ = true;
  write_stderr("\r\x1b[K" + text);
}

void Progress::finish() {
  if (drawn_) write_stderr("\n");
  drawn_ = false;
}

void Progress::log(const std::string& line) {
  if (quiet_) return;
  write_stderr(drawn_ ? "\r\x1b[K" + line + "\n" + last_ : line + "\n");
}

}  // namespace kronbit::app
