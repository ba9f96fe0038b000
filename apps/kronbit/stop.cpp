#include "apps/kronbit/stop.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <limits>

#include "tensor/io/parse.h"

namespace kronbit::app {

std::atomic<bool> stop_requested{false};

namespace {

constexpr int kInterrupted = 128 + SIGINT, kTerminated = 128 + SIGTERM;

std::atomic<int> signal_code{0};
std::atomic<bool> gently{false};
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

void on_signal(int number) {
  const int code = number == SIGINT ? kInterrupted : kTerminated;
  if (stop_requested.exchange(true) || !gently) _exit(code);
  signal_code = code;
}

const auto started = std::chrono::steady_clock::now();
double time_limit = std::numeric_limits<double>::infinity();  // seconds

}  // namespace

void install_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  for (const int number : {SIGINT, SIGTERM, SIGUSR1}) sigaction(number, &action, nullptr);
  std::signal(SIGXFSZ, SIG_IGN);  // a full quota is an error of write(), not a death
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGCHLD, SIG_DFL);  // ignored, as some parents leave it, children would end without waitpid() telling
}

void stop_gently() { gently = true; }

void add_time_limit_option(CLI::App* command, std::string& limit) {
  command->add_option(
      "--time-limit", limit,
      "of this process, such as 3h50m: then it begins nothing new, writes, and ends with exit code 143; "
      "--resume goes on");
}

void set_time_limit(const std::string& limit) {
  if (!limit.empty()) time_limit = parse_duration(limit, "--time-limit");
}

bool time_is_up() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count() >= time_limit;
}

int stop_exit_code() {
  if (signal_code != 0) return signal_code;
  return time_is_up() ? kTerminated : 0;
}

std::string stop_reason() { return signal_code == 0 && time_is_up() ? "stopped by --time-limit" : "stopped"; }

}  // namespace kronbit::app
