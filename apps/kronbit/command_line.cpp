#include "apps/kronbit/command_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "tensor/io/nearest.h"
#include "tensor/io/text.h"

namespace kronbit::app {
namespace {

bool is_option(const std::string& word) { return word.size() > 1 && word[0] == '-' && word != "--"; }

std::string with_hint(const std::string& what, const std::string& dashes, const std::string& known) {
  return known.empty() ? what : fmt::format("{} (did you mean {}{}?)", what, dashes, known);
}

/// "--bit" of "--bit", "--bit=3".
std::string option_of(const std::string& word) { return word.substr(0, word.find('=')); }

std::string unknown_option(const CLI::App& command, const std::string& option) {
  std::vector<std::string> known;
  for (const CLI::Option* o : command.get_options()) {
    for (const std::string& name : o->get_lnames()) known.push_back(name);
  }
  const size_t letters = std::min(option.find_first_not_of('-'), option.size());
  return with_hint("unknown option " + option, "--", nearest(option.substr(letters), known));
}

std::string unknown_subcommand(const CLI::App& app, const std::string& word) {
  std::vector<std::string> known;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (!command->get_group().empty()) known.push_back(command->get_name());  // those without one are not listed
  }
  return with_hint("unknown subcommand " + quote(word), "", nearest(word, known));
}

/// "" when every word has its place, or only a value too many has none.
std::string unknown(const CLI::App& app, const CLI::App& command) {
  const std::vector<std::string> unplaced = app.remaining();
  const bool has_subcommands = !app.get_subcommands([](const CLI::App*) { return true; }).empty();
  if (&command == &app && has_subcommands && !unplaced.empty() && !is_option(unplaced.front()))
    return unknown_subcommand(app, unplaced.front());
  for (const std::string& word : command.remaining()) {
    if (is_option(word)) return unknown_option(command, option_of(word));
  }
  for (const std::string& word : unplaced) {
    if (is_option(word)) return fmt::format("unknown option {} before {}", option_of(word), command.get_name());
  }
  return "";
}

}  // namespace

std::string refusal(const CLI::App& app, const CLI::ParseError& error) {
  const std::vector<CLI::App*> chosen = app.get_subcommands();
  const CLI::App& command = chosen.empty() ? app : *chosen.front();
  const std::string problem = unknown(app, command);
  return fmt::format("{} (see {}{} --help)", problem.empty() ? error.what() : problem, app.get_name(),
                     chosen.empty() ? "" : " " + command.get_name());
}

}  // namespace kronbit::app
