// What command.h declares: signals and how a subcommand is added. main.cpp is the program around it.
#include "apps/kronbit/command.h"

#include <unistd.h>

#include <csignal>

namespace kronbit::app {

std::atomic<bool> stop_requested{false};

namespace {

std::atomic<int> last_signal{0};
std::atomic<bool> gently{false};
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

void on_signal(int number) {
  if (stop_requested.exchange(true) || !gently) _exit(128 + number);
  last_signal = number;
}

}  // namespace

void install_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGXFSZ, SIG_IGN);  // a full quota is an error of write(), not a death
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGCHLD, SIG_DFL);  // ignored, as some parents leave it, children would end without waitpid() telling
}

void stop_gently() { gently = true; }

CLI::Validator not_empty() {
  return CLI::Validator([](const std::string& text) { return text.empty() ? "wanted a text, got nothing" : ""; }, "");
}

int stop_exit_code() { return last_signal ? 128 + last_signal : 0; }

CLI::App* add_command(CLI::App& app, Frame& frame, const std::string& name, const std::string& summary,
                      const std::string& examples, std::function<int()> work, KernelChoice kernels) {
  CLI::App* command = app.add_subcommand(name, summary);
  command->add_flag("--json", frame.json, "print one JSON object on stdout");
  command->add_flag("--quiet", frame.quiet, "no progress on stderr");
  command->add_option("--color", frame.color, "auto, always or never")
      ->check(CLI::IsMember({"auto", "always", "never"}));
  command->add_option("--threads", frame.threads, "threads to use (default: the CPUs this process may use)");
  command->add_option("--kernel", frame.kernel, "force a compute kernel by name (kronbit info lists them)");
  command->footer(examples);
  command->callback([&frame, kernels, work = std::move(work)] {
    frame.chosen = work;
    frame.kernels = kernels;
  });
  return command;
}

}  // namespace kronbit::app
