// The frame of the subcommands: every file cmd_*.cpp adds one of them to the parser; main.cpp runs the chosen one and
// turns errors into one line and an exit code.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "apps/kronbit/stop.h"

namespace kronbit::app {

/// Which kernels a subcommand's --kernel may name: those that train, or those of packed networks (block_product.h) too.
enum class KernelChoice { Training, Packed };

/// Options every subcommand understands, and what parsing found out.
struct Frame {
  bool json = false;                              ///< one JSON object on stdout, logs on stderr
  bool quiet = false;                             ///< no progress on stderr
  std::string color = "auto";                     ///< auto | always | never
  std::string threads, kernel;                    ///< "" = automatic
  KernelChoice kernels = KernelChoice::Training;  ///< of the chosen subcommand
  std::function<int()> chosen;                    ///< set by the subcommand's callback; returns the exit code
};

/// Adds a subcommand whose callback makes `run` the chosen work; `examples` end its --help.
CLI::App* add_command(CLI::App& app, Frame& frame, const std::string& name, const std::string& summary,
                      const std::string& examples, std::function<int()> run,
                      KernelChoice kernels = KernelChoice::Training);

/// For options whose empty text is a mistake: a variable of the shell that was never set.
CLI::Validator not_empty();

void add_info(CLI::App& app, Frame& frame);
void add_size(CLI::App& app, Frame& frame);
void add_train(CLI::App& app, Frame& frame);
void add_eval(CLI::App& app, Frame& frame);
void add_finetune(CLI::App& app, Frame& frame);
void add_search(CLI::App& app, Frame& frame);
void add_rank(CLI::App& app, Frame& frame);
void add_export(CLI::App& app, Frame& frame);
void add_run(CLI::App& app, Frame& frame);
void add_profile(CLI::App& app, Frame& frame);
void add_sensitivity(CLI::App& app, Frame& frame);
void add_verify(CLI::App& app, Frame& frame);
void add_status(CLI::App& app, Frame& frame);
void add_report(CLI::App& app, Frame& frame);
void add_evaluate(CLI::App& app, Frame& frame);

}  // namespace kronbit::app
