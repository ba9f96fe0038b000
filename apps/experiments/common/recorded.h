// A recorded table as the experiments take it from the command line: the file, the sensitivities beside it, the tasks.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <optional>
#include <string>

#include "gp/covariance.h"
#include "search/replay.h"
#include "tensor/io/json.h"

namespace kronbit::experiments {

struct RecordedOptions {
  std::filesystem::path table, sensitivity;
  std::string most_epochs, curve = "bezier:1";
};
/// --table, --sensitivity, --most-epochs, --curve.
void add_recorded_options(CLI::App& app, RecordedOptions& options);

struct RecordedTable {
  std::string file;
  search::Table table;
  std::optional<search::ErrorTable> errors;
  search::Curve curve = search::Curve::bezier(1);
  search::Problem problem(const search::Goal& goal) const { return search::problem_of(table, curve, errors, goal); }
  Json to_json() const;  ///< what the pages say of it
};

/// TABLE-sensitivity.json.
std::filesystem::path sensitivity_beside(const std::filesystem::path& table);

/// Sensitivities: those named, else TABLE-sensitivity.json when it is there. Throws: InputError.
RecordedTable read_recorded(const RecordedOptions& options);

/// "build/experiments/NAME --option value ..." with files by name, and without --out and --threads.
std::string command_line(int argc, char** argv, const std::string& name);

}  // namespace kronbit::experiments
