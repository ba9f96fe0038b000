// The frame of the experiments: one command line, one folder, and steps. A step is one kronbit command; its result is
// kept, so an experiment that was interrupted goes on where it stopped, and two experiments share what both need.
//
//   OUT/runs/vgg16/fp32/      what the command wrote (journal, checkpoint, best/), result.json: command, answer, time
//   OUT/table1.{json,csv,md,svg}
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tensor/io/json.h"

namespace kronbit::experiments {

/// What the command line says; every experiment understands the same.
struct Settings {
  std::string preset = "quick";  ///< quick: minutes, procedural data. paper: hours or days, CIFAR-10
  std::filesystem::path out;
  std::string data, imagenet32;   ///< as after kronbit's --data
  std::filesystem::path weights;  ///< table4: folder of NET.safetensors; empty = trained here
  std::vector<std::string> nets;  ///< only these; empty = all
  std::string threads;
  std::string epochs, evaluations, row_epochs, seeds;  ///< instead of the preset's; "" = the preset's
  bool dry_run = false;                                ///< print the commands that are missing, run nothing
  bool no_run = false;                                 ///< write the results of what has been run
  bool paper() const { return preset == "paper"; }
  bool wants(const std::string& net) const;
};

/// Results of an experiment, ready to be written.
struct Results {
  Json json;                                  ///< everything: numbers, commands, seeds, seconds
  std::string markdown;                       ///< the same for readers
  std::vector<std::vector<std::string>> csv;  ///< first row: names of the columns
  /// Picture by picture: a gnuplot script and its size. The first is OUT/NAME.svg, the others OUT/NAME-ID.svg.
  struct Plot {
    std::string id, label, script;  ///< an empty script: nothing to draw
    int width = 900, height = 480;
  };
  std::vector<Plot> plots;
};

/// How a step ended.
struct StepResult {
  std::string command;  ///< as a user would type it in OUT, with the data's folder by name
  Json answer;          ///< what it printed with --json
  double seconds = 0;   ///< wall clock, over all interruptions but kills
};

class Experiment {
 public:
  Experiment(std::string name, Settings settings) : name_(std::move(name)), settings_(std::move(settings)) {}

  const std::string& name() const { return name_; }
  const Settings& settings() const { return settings_; }
  /// OUT/runs/PLACE.
  std::filesystem::path folder(const std::string& place) const { return settings_.out / "runs" / place; }

  /// The result of `kronbit ARGUMENTS`, which belongs to `place`: the one that is there, else it is run now (nothing
  /// with --dry-run and --no-run). Arguments that name other places are paths made by folder().
  /// Throws: InputError when the result there is that of another command; Error when the command fails or a signal
  /// came.
  std::optional<StepResult> step(const std::string& place, const std::vector<std::string>& arguments);

 private:
  std::string name_;
  Settings settings_;
};

/// What an experiment is: from the steps that have run (and that it runs) to results. Called again, with --no-run,
/// after an interruption, so that what is there is written.
using Work = std::function<Results(Experiment&)>;

/// main() around any work: signals, and one line and an exit code for what goes wrong.
int guarded(const std::string& name, const std::function<int()>& work);
/// Parses, then works. Returns: 0 after --help, 2 after a mistake, which is printed.
int parse_options(CLI::App& app, int argc, char** argv, const std::function<int()>& work);
/// build/experiments/table1 -> build/kronbit. Throws: InputError when it is not there.
std::filesystem::path kronbit_program();

/// main() of an experiment. Returns: 0 done, 1 failed, 2 wrong input, 130 or 143 stopped by a signal.
int run_experiment(int argc, char** argv, const std::string& name, const std::string& summary, const Work& work);

/// OUT/NAME.{json,csv,md,svg}, and the Markdown to stdout.
void write_results(const std::string& name, const std::filesystem::path& out, const Results& results);

/// "kronbit 0.1.0".
std::string program_version();

/// "AMD EPYC, 2 threads".
std::string machine_line();

/// Lines of a Markdown table; the first row is the head. Bit lists are to be in backquotes.
std::string markdown_table(const std::vector<std::vector<std::string>>& rows);

}  // namespace kronbit::experiments
