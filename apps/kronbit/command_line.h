// What is said of a command line that the parser refuses.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace kronbit::app {

/// One line: an option or a subcommand that `app` does not know, with the nearest that it does; where there is none,
/// what `error` says is missing or wrong. It ends with whose --help to read.
std::string refusal(const CLI::App& app, const CLI::ParseError& error);

}  // namespace kronbit::app
