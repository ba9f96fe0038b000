// How a subcommand is added. main.cpp is the program around it.
#include "apps/kronbit/command.h"

namespace kronbit::app {

CLI::Validator not_empty() {
  return CLI::Validator([](const std::string& text) { return text.empty() ? "wanted a text, got nothing" : ""; }, "");
}

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
