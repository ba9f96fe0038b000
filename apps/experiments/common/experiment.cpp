#include "apps/experiments/common/experiment.h"

#include <fcntl.h>
#include <fmt/ranges.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>

#include "apps/kronbit/command_line.h"
#include "apps/kronbit/options/common.h"
#include "apps/kronbit/progress.h"
#include "apps/kronbit/report/gnuplot.h"
#include "apps/kronbit/report/html.h"
#include "nn/models/models.h"
#include "tensor/base/error.h"
#include "tensor/cpu.h"
#include "tensor/io/file.h"
#include "tensor/io/parse.h"
#include "tensor/io/text.h"
#include "tensor/parallel.h"

namespace kronbit::experiments {
namespace {

constexpr int64_t kMostAnswer = int64_t{1} << 22;

std::string shell_word(const std::string& word) {
  const bool plain = !word.empty() && word.find_first_not_of(
                                          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=.,:/@%") ==
                                          std::string::npos;
  return plain ? word : "\"" + word + "\"";
}

void replace_all(std::string& text, const std::string& what, const std::string& with) {
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size())
    text.replace(at, what.size(), with);
}

/// The command for others: relative to OUT, data sets by the name of their folder.
std::string shown(const Settings& settings, const std::vector<std::string>& arguments) {
  std::string text = "kronbit";
  for (std::string word : arguments) {
    replace_all(word, settings.out.string() + "/", "");
    if (!settings.weights.empty())
      replace_all(word, settings.weights.string() + "/", settings.weights.filename().string() + "/");
    for (const std::string& spec : {settings.data, settings.imagenet32}) {
      if (word != spec || word.find('/') == std::string::npos) continue;
      const std::filesystem::path folder = std::filesystem::path(word).lexically_normal();
      word = word.substr(0, word.find(':') + 1) +
             (folder.has_filename() ? folder.filename() : folder.parent_path().filename()).string();
    }
    text += " " + shell_word(word);
  }
  return text;
}

/// Starts the program with stdout into `answer`, in a process group of its own: a signal (Ctrl-C too) is ours to hand
/// on, once, so that it can finish its current write; it ends with us. Returns: its wait status.
int run_program(const std::filesystem::path& program, std::vector<std::string> words,
                const std::filesystem::path& answer) {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const Descriptor out(open(answer.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (out.get() < 0) throw Error(fmt::format("[{}] cannot be written: {}", answer.string(), std::strerror(errno)));
  const pid_t parent = getpid(), pid = fork();
  if (pid < 0) throw Error(fmt::format("[{}] cannot be started: {}", program.string(), std::strerror(errno)));
  if (pid == 0) {
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() == parent && dup2(out.get(), STDOUT_FILENO) >= 0) execv(program.c_str(), argv.data());
    _exit(127);
  }
  int status = 0;
  for (bool told = false; waitpid(pid, &status, WNOHANG) == 0; usleep(20000)) {
    if (!app::stop_requested || told) continue;
    kill(pid, app::stop_exit_code() == 143 ? SIGTERM : SIGINT);
    told = true;
  }
  return status;
}

std::optional<StepResult> read_result(const std::filesystem::path& path, double& seconds_before) {
  if (!std::filesystem::exists(path)) return std::nullopt;
  const Json json = read_json(path);
  const std::string where = path.string();
  const double seconds = get_number(json, "seconds", 0, 1e12, where);
  if (!has(json, "answer")) {
    seconds_before = seconds;
    return std::nullopt;
  }
  std::string command = get_string(json, "command", where);
  replace_all(command, " --validation train:5000", "");  // steps of before said the default
  return StepResult{command, get_object(json, "answer", where), seconds};
}

void add_options(CLI::App& app, Settings& s, std::string& nets) {
  app.add_option("--preset", s.preset, "quick (minutes, procedural data) or paper (hours, CIFAR-10)")
      ->check(CLI::IsMember({"quick", "paper"}));
  app.add_option("--out", s.out, "folder of results and runs (default: ~/.cache/kronbit/experiments-PRESET)");
  app.add_option("--data", s.data, "instead of the preset's data, as after kronbit's --data");
  app.add_option("--imagenet32", s.imagenet32, "fig5, table4: the second data set");
  app.add_option("--weights-dir", s.weights, "table4: folder with NET.safetensors, instead of training here");
  app.add_option("--net", nets, "only these networks, with commas between them");
  app.add_option("--threads", s.threads, "of every command");
  app.add_option("--epochs", s.epochs, "of the floating point trainings, instead of the preset's");
  app.add_option("--evaluations", s.evaluations, "of every search, instead of the preset's");
  app.add_option("--row-epochs", s.row_epochs, "of fine-tuning a row, instead of the preset's");
  app.add_option("--seeds", s.seeds, "trainings of every row, instead of the preset's");
  app.add_flag("--dry-run", s.dry_run, "print the commands that are still to be run, and run nothing");
  app.add_flag("--no-run", s.no_run, "write the results of what has been run so far, and run nothing");
}

void check(Settings& s, const std::string& nets) {
  if (!nets.empty()) s.nets = split(nets, ',');
  for (const std::string& net : s.nets) nn::build(net);
  if (!s.threads.empty()) parse_int(s.threads, 1, 1024, "--threads");
  if (!s.epochs.empty()) parse_number(s.epochs, 0.001, 1e6, "--epochs");
  if (!s.evaluations.empty()) parse_int(s.evaluations, 1, 1'000'000, "--evaluations");
  if (!s.row_epochs.empty()) parse_number(s.row_epochs, 0.001, 1e6, "--row-epochs");
  if (!s.seeds.empty()) parse_int(s.seeds, 1, 1000, "--seeds");
  const std::filesystem::path folder = app::data_folder();
  if (s.data.empty()) s.data = s.paper() ? "cifar10:" + (folder / "cifar-10-batches-bin").string() : "synthetic:800";
  if (s.imagenet32.empty())
    s.imagenet32 = s.paper() ? "imagenet32:" + (folder / "imagenet32-25").string() : "synthetic:800";
  if (s.out.empty()) s.out = folder / ("experiments-" + s.preset);
  for (std::filesystem::path* path : {&s.out, &s.weights}) {
    if (path->empty()) continue;
    *path = std::filesystem::absolute(*path).lexically_normal();
    if (!path->has_filename()) *path = path->parent_path();
  }
}

int work_and_write(Experiment& experiment, const Work& work) {
  if (experiment.settings().dry_run) {
    work(experiment);
    return 0;
  }
  try {
    write_results(experiment.name(), experiment.settings().out, work(experiment));
    return 0;
  } catch (const InputError&) {
    throw;
  } catch (const Error&) {
    if (experiment.settings().no_run) throw;
    Settings settings = experiment.settings();
    settings.no_run = true;
    Experiment again(experiment.name(), settings);
    write_results(again.name(), settings.out, work(again));
    if (!app::stop_requested) throw;
    app::tell("stopped; the same command goes on\n");
    return app::stop_exit_code();
  }
}

int fail(const std::string& name, int code, const std::string& message) {
  app::tell("{}: {}\n", name, printable(message));
  return code;
}

}  // namespace

bool Settings::wants(const std::string& net) const {
  return nets.empty() || std::find(nets.begin(), nets.end(), net) != nets.end();
}

std::optional<StepResult> Experiment::step(const std::string& place, const std::vector<std::string>& arguments) {
  const std::filesystem::path path = folder(place) / "result.json";
  const std::string command = shown(settings_, arguments);
  double before = 0;
  if (std::optional<StepResult> result = read_result(path, before)) {
    if (result->command == command) return result;
    input_error(path.string(),
                "wanted the result of `{}`, got that of `{}`: choose another --out, or remove the folder", command,
                result->command);
  }
  if (settings_.no_run) return std::nullopt;
  if (settings_.dry_run) {
    fmt::print("{}\n", command);
    return std::nullopt;
  }
  if (app::stop_requested) throw Error("stopped");
  make_folder(folder(place));
  const std::filesystem::path answer = folder(place) / "answer.json";
  std::vector<std::string> words = {"kronbit"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  words.push_back("--json");
  if (!settings_.threads.empty()) words.insert(words.end(), {"--threads", settings_.threads});
  app::tell("$ {}\n", command);
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  const int status = run_program(kronbit_program(), words, answer);
  const double seconds = before + std::chrono::duration<double>(Clock::now() - start).count();
  if (status != 0) {
    publish(path, dump_pretty({{"command", command}, {"seconds", seconds}}));
    if (app::stop_requested) throw Error("stopped");
    const bool input = WIFEXITED(status) && WEXITSTATUS(status) == 2;
    const std::string how = WIFEXITED(status) ? fmt::format("exit code {}", WEXITSTATUS(status))
                                              : fmt::format("signal {}", WTERMSIG(status));
    if (input) input_error(name_, "`{}` did not like its input (its message is above)", command);
    throw Error(fmt::format("[{}] `{}` failed: {}", name_, command, how));
  }
  const StepResult result{command, parse_json(read_text(answer, kMostAnswer), answer.string()), seconds};
  publish(path, dump_pretty({{"command", command}, {"seconds", seconds}, {"answer", result.answer}}));
  std::filesystem::remove(answer);
  return result;
}

void write_results(const std::string& name, const std::filesystem::path& out, const Results& results) {
  make_folder(out);
  std::string pictures;
  app::Plotter plotter;
  for (size_t i = 0; i < results.plots.size(); ++i) {
    const Results::Plot& plot = results.plots[i];
    if (plot.script.empty()) continue;
    const std::string svg = plotter.draw(name, plot.label, plot.script, plot.width, plot.height);
    if (svg.empty()) continue;
    const std::string file = i == 0 ? name + ".svg" : fmt::format("{}-{}.svg", name, plot.id);
    publish(out / file, app::standalone(svg));
    pictures += fmt::format("![{}]({})\n\n", plot.label, file);
  }
  if (!plotter.problem().empty()) app::tell("no picture: {}\n", plotter.problem());
  std::string csv;
  for (const auto& row : results.csv) {
    std::string line;
    for (const std::string& cell : row) {
      const bool quoted = cell.find_first_of(",\"\n") != std::string::npos;
      std::string text = cell;
      if (quoted) replace_all(text, "\"", "\"\"");
      line += (line.empty() && &cell == &row.front() ? "" : ",") + (quoted ? "\"" + text + "\"" : text);
    }
    csv += line + "\n";
  }
  publish(out / (name + ".json"), dump_pretty(results.json));
  publish(out / (name + ".csv"), csv);
  publish(out / (name + ".md"), results.markdown + "\n" + pictures);
  fmt::print("{}\n{}/{}.{{md,json,csv,svg}}\n", results.markdown, out.string(), name);
}

std::string program_version() { return std::string("kronbit ") + KRONBIT_VERSION; }

std::string machine_line() { return fmt::format("{}, {} threads", cpu().model, threads()); }

std::string markdown_table(const std::vector<std::vector<std::string>>& rows) {
  std::string text;
  for (size_t i = 0; i < rows.size(); ++i) {
    text += fmt::format("| {} |\n", fmt::join(rows[i], " | "));
    if (i == 0) {
      text += "|";
      for (size_t c = 0; c < rows[0].size(); ++c) text += "---|";
      text += "\n";
    }
  }
  return text;
}

std::filesystem::path kronbit_program() {
  const std::filesystem::path here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  for (const std::filesystem::path& folder : {here.parent_path(), here}) {
    if (std::filesystem::is_regular_file(folder / "kronbit")) return folder / "kronbit";
  }
  input_error("kronbit", "wanted the program at {}, got nothing: make builds it",
              (here.parent_path() / "kronbit").string());
}

int guarded(const std::string& name, const std::function<int()>& work) {
  try {
    open_standard_streams();
    app::install_signals();
    app::stop_gently();
    const int code = work();
    if (std::fflush(stdout) != 0) return fail(name, 1, "[stdout] cannot write the result");
    return code;
  } catch (const InputError& e) {
    return fail(name, 2, e.what());
  } catch (const std::bad_alloc&) {
    return fail(name, 1, "[memory] not enough memory");
  } catch (const std::exception& e) {
    return app::stop_requested ? app::stop_exit_code() : fail(name, 1, e.what());
  }
}

int parse_options(CLI::App& app, int argc, char** argv, const std::function<int()>& work) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    return fail(app.get_name(), 2, app::refusal(app, e));
  }
  return work();
}

int run_experiment(int argc, char** argv, const std::string& name, const std::string& summary, const Work& work) {
  return guarded(name, [&] {
    CLI::App app{summary, name};
    app.footer(
        "Every step is a kronbit command, printed before it runs; what has run is kept in OUT/runs, so the same "
        "command\n"
        "goes on after an interruption. Exit codes: 0 done, 1 failed, 2 wrong input, 130/143 stopped by a signal.");
    Settings settings;
    std::string nets;
    add_options(app, settings, nets);
    return parse_options(app, argc, argv, [&] {
      check(settings, nets);
      if (!settings.threads.empty()) set_threads(static_cast<int>(parse_int(settings.threads, 1, 1024, "--threads")));
      Experiment experiment(name, std::move(settings));
      return work_and_write(experiment, work);
    });
  });
}

}  // namespace kronbit::experiments
