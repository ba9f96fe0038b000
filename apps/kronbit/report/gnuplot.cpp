#include "apps/kronbit/report/gnuplot.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <cstring>
#include <regex>
#include <string_view>
#include <thread>

#include "apps/kronbit/report/html.h"
#include "tensor/io/file.h"
#include "tensor/io/text.h"

extern char** environ;

namespace kronbit::app {
namespace {

constexpr double kMostSeconds = 60;

/// A file in memory, empty or with `text`.
Descriptor memory_file(const std::string& text) {
  Descriptor fd(memfd_create("gnuplot", MFD_CLOEXEC));
  if (fd.get() < 0) return fd;
  for (size_t done = 0; done < text.size();) {
    const ssize_t n = write(fd.get(), text.data() + done, text.size() - done);
    if (n < 0) return Descriptor();
    done += static_cast<size_t>(n);
  }
  lseek(fd.get(), 0, SEEK_SET);
  return fd;
}

std::string content(const Descriptor& fd) {
  std::string text;
  char buffer[65536];
  lseek(fd.get(), 0, SEEK_SET);
  for (ssize_t n; (n = read(fd.get(), buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<size_t>(n));
  return text;
}

/// Waits for `pid`, at most kMostSeconds. Returns: its wait status, -1 when it had to be killed.
int wait_for(pid_t pid) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point end =
      Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(kMostSeconds));
  int status = 0;
  while (Clock::now() < end) {
    const pid_t done = waitpid(pid, &status, WNOHANG);
    if (done == pid) return status;
    if (done < 0 && errno != EINTR) return -1;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  kill(pid, SIGKILL);
  waitpid(pid, &status, 0);
  return -1;
}

struct Output {
  std::string svg, problem;
  bool missing = false;
};

Output run_gnuplot(const std::string& script) {
  const Descriptor in = memory_file(script), out = memory_file(""), err = memory_file("");
  if (in.get() < 0 || out.get() < 0 || err.get() < 0) return {"", "no memory for gnuplot", false};
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, in.get(), 0);
  posix_spawn_file_actions_adddup2(&files, out.get(), 1);
  posix_spawn_file_actions_adddup2(&files, err.get(), 2);
  // A group of its own: Ctrl-C is for us, and the picture takes milliseconds.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  char name[] = "gnuplot", no_startup_file[] = "-d";
  char* arguments[] = {name, no_startup_file, nullptr};
  pid_t pid = 0;
  const int error = posix_spawnp(&pid, name, &files, &attributes, arguments, environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (error != 0) return {"", fmt::format("gnuplot cannot be started ({})", std::strerror(error)), true};
  const int status = wait_for(pid);
  if (status == 127 << 8) return {"", "gnuplot cannot be started", true};
  if (status != 0) return {"", "gnuplot failed: " + quote(content(err), 300), false};
  return {content(out), "", false};
}

/// The page's variable for a colour of the script, "" for any other.
std::string variable(int red, int green, int blue) {
  if (red != 0 || green != 0) return "";
  switch (blue) {
    case 0:
    case 1:
      return "var(--ink)";
    case 2:
      return "var(--muted)";
    case 3:
      return "var(--line)";
    case 4:
      return "var(--dots)";
    default:
      return blue >= 16 && blue < 16 + ink::kSeries ? fmt::format("var(--s{})", blue - 16) : "";
  }
}

/// `text` with every match of `pattern` replaced by what `value` makes of it.
template <typename Value>
std::string replace_each(const std::string& text, const std::regex& pattern, const Value& value) {
  std::string result;
  size_t end = 0;
  for (std::sregex_iterator it(text.begin(), text.end(), pattern), last; it != last; ++it) {
    const auto at = static_cast<size_t>(it->position());
    result.append(text, end, at - end).append(value(*it));
    end = at + static_cast<size_t>(it->length());
  }
  return result.append(text, end);
}

/// The <svg> element of a file by gnuplot, ready for a page.
std::string inlined(const std::string& svg, const std::string& id, const std::string& label) {
  const size_t body = svg.find("<g id=\"gnuplot_canvas\">"), end = svg.rfind("</svg>");
  const size_t box = svg.find("viewBox=\"");
  if (body == std::string::npos || end == std::string::npos || box == std::string::npos) return "";
  const std::string view = svg.substr(box, svg.find('"', box + 9) + 1 - box);
  std::string text = svg.substr(body, end - body);
  // Filters of boxed labels, which our scripts do not use.
  for (size_t at; (at = text.find("<filter")) != std::string::npos;)
    text.erase(at, text.find("</filter>", at) + std::strlen("</filter>") - at);
  // Ids are those of the whole page.
  text = replace_each(text, std::regex("(id=['\"]|href=['\"]#)"),
                      [&](const std::smatch& m) { return m.str() + id + "-"; });
  text = replace_each(text, std::regex("rgb\\(\\s*(\\d+),\\s*(\\d+),\\s*(\\d+)\\)"), [](const std::smatch& m) {
    const std::string found = variable(std::stoi(m[1]), std::stoi(m[2]), std::stoi(m[3]));
    return found.empty() ? m.str() : found;
  });
  text = replace_each(text, std::regex("color=['\"](black|gray|white)['\"]"), [](const std::smatch& m) {
    return std::string(m[1] == "white" ? "color=\"var(--paper)\"" : "color=\"var(--ink)\"");
  });
  return fmt::format("<svg {} role=\"img\" aria-label=\"{}\">\n{}</svg>\n", view, escape(label), text);
}

}  // namespace

std::string ink::series(int index) { return fmt::format("#0000{:02x}", 16 + index % kSeries); }

std::string in_quotes(std::string_view text) {
  std::string result = "'";
  for (const char c : printable(text)) result += c == '\'' ? std::string("''") : std::string(1, c);
  return result + "'";
}

void DataBlock::row(const std::vector<double>& values) {
  std::string line;
  for (const double v : values) line += fmt::format("{}{:.8g}", line.empty() ? "" : " ", std::isfinite(v) ? v : 0.0);
  rows_ += line + "\n";
}

std::string DataBlock::text() const { return fmt::format("${} << EOD\n{}EOD\n", name_, rows_); }

std::string Plotter::draw(const std::string& id, const std::string& label, const std::string& script, int width,
                          int height) {
  if (missing_) return "";
  const std::string frame = fmt::format(
      "set terminal svg size {},{} dynamic noenhanced font 'sans-serif,13'\n"
      "set border 3 lc rgb '{muted}'\nset tics nomirror out textcolor rgb '{text}'\n"
      "set grid lc rgb '{grid}' lt 1 lw 0.6\nset key outside top center horizontal textcolor rgb '{text}'\n"
      "set xlabel textcolor rgb '{text}'\nset ylabel textcolor rgb '{text}'\nset y2label textcolor rgb '{text}'\n",
      width, height, fmt::arg("muted", ink::kMuted), fmt::arg("text", ink::kText), fmt::arg("grid", ink::kGrid));
  const Output output = run_gnuplot(frame + script);
  missing_ = output.missing;
  if (!output.problem.empty()) problem_ = output.problem;
  if (output.svg.empty()) return "";
  const std::string svg = inlined(output.svg, id, label);
  if (svg.empty()) problem_ = "gnuplot drew nothing";
  return svg;
}

}  // namespace kronbit::app
