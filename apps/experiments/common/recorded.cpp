#include "apps/experiments/common/recorded.h"

#include <algorithm>
#include <limits>

#include "quant/sensitivity.h"
#include "tensor/base/error.h"
#include "tensor/io/parse.h"
#include "tensor/io/text.h"

namespace kronbit::experiments {

void add_recorded_options(CLI::App& app, RecordedOptions& options) {
  app.add_option("--table", options.table, "a recorded table, data/tables/NAME.csv");
  app.add_option("--sensitivity", options.sensitivity, "of its network (default: NAME-sensitivity.json beside it)");
  app.add_option("--most-epochs", options.most_epochs, "leave longer tasks of the table out");
  app.add_option("--curve", options.curve, "whose weights place the configurations for models");
}

std::filesystem::path sensitivity_beside(const std::filesystem::path& table) {
  return table.parent_path() / (table.stem().string() + "-sensitivity.json");
}

RecordedTable read_recorded(const RecordedOptions& options) {
  RecordedTable result;
  const double most = options.most_epochs.empty() ? std::numeric_limits<double>::infinity()
                                                  : parse_number(options.most_epochs, 0, 1e6, "--most-epochs");
  result.file = options.table.filename().string();
  result.curve = search::Curve::parse(options.curve);
  result.table = search::read_table(options.table, most);
  std::filesystem::path path = options.sensitivity;
  if (path.empty()) {
    path = sensitivity_beside(options.table);
    if (!std::filesystem::exists(path)) return result;
  }
  result.errors = quant::sensitivity_from_json(read_json(path), path.string()).mse;
  return result;
}

Json RecordedTable::to_json() const {
  std::string tasks;
  const auto trained_once = std::count_if(table.configurations.begin(), table.configurations.end(),
                                          [](const search::Recorded& each) { return each.trainings.size() == 1; });
  for (const double epochs : table.epochs) tasks += fmt::format("{}{:g}", tasks.empty() ? "" : ", ", epochs);
  return {{"file", file},
          {"configurations", table.configurations.size()},
          {"trainings", table.trainings()},
          {"trained_once", trained_once},
          {"tasks", tasks},
          {"seconds", table.median_seconds()},
          {"sensitivities", errors.has_value()},
          {"curve", curve.text()}};
}

std::string command_line(int argc, char** argv, const std::string& name) {
  std::string text = "build/experiments/" + name;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--out" || word == "--threads") {
      ++i;
    } else if (!word.starts_with("--out=") && !word.starts_with("--threads=")) {
      const bool path = word.starts_with("/");
      text += " " + (path ? std::filesystem::path(word).filename().string() : word);
    }
  }
  return text;
}

}  // namespace kronbit::experiments
