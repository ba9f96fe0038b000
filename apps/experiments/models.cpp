// The model of the search judged on a recorded table: what it says about configurations it has not seen, after as many
// runs as a search makes, for every input, kernel and output.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "apps/experiments/common/judge.h"
#include "apps/experiments/common/recorded.h"
#include "apps/experiments/common/recorded_facts.h"
#include "apps/kronbit/options/common.h"
#include "apps/kronbit/progress.h"
#include "apps/kronbit/report/plot_parts.h"
#include "apps/kronbit/search/settings.h"
#include "apps/kronbit/search/statistics.h"
#include "gp/calibration.h"
#include "search/strategy.h"
#include "tensor/base/error.h"
#include "tensor/io/file.h"
#include "tensor/io/parse.h"
#include "tensor/io/text.h"
#include "tensor/parallel.h"
#include "tensor/rng.h"

namespace kronbit::experiments {
namespace {

struct Options {
  std::string preset = "quick", runs, repeats, searches, threads;
  RecordedOptions recorded;
  std::filesystem::path out, from;
  bool paper() const { return preset == "paper"; }
};

/// The numbers of gp::Calibration that are shown, in this order.
struct Measure {
  const char* name;
  double (*of)(const gp::Calibration&);
};
constexpr Measure kMeasures[] = {{"median_error", [](const gp::Calibration& c) { return c.median_error; }},
                                 {"rmse", [](const gp::Calibration& c) { return c.rmse; }},
                                 {"spearman", [](const gp::Calibration& c) { return c.spearman; }},
                                 {"spearman_best", [](const gp::Calibration& c) { return c.spearman_best; }},
                                 {"median_error_best", [](const gp::Calibration& c) { return c.median_error_best; }},
                                 {"coverage90_best", [](const gp::Calibration& c) { return c.coverage90_best; }},
                                 {"coverage50", [](const gp::Calibration& c) { return c.coverage50; }},
                                 {"coverage90", [](const gp::Calibration& c) { return c.coverage90; }},
                                 {"coverage95", [](const gp::Calibration& c) { return c.coverage95; }},
                                 {"log_score", [](const gp::Calibration& c) { return c.log_score; }},
                                 {"mean_z2", [](const gp::Calibration& c) { return c.mean_z2; }}};

/// What is modelled.
struct Output {
  const char* name;
  search::Warp warp;
  search::Observe observe;
};
constexpr Output kOutputs[] = {{"raw", search::Warp::None, search::Observe::Accuracy},
                               {"logit", search::Warp::Logit, search::Observe::Accuracy},
                               {"smooth logit", search::Warp::Logit, search::Observe::Smooth}};

/// A model to judge.
struct Variant {
  search::Inputs inputs;
  std::string kernel, warp;
  search::ModelOptions options;
};

std::vector<Variant> variants(bool sensitivities, int starts) {
  std::vector<Variant> all;
  for (const search::Inputs inputs : {search::Inputs::Curve, search::Inputs::Error, search::Inputs::Bits,
                                      search::Inputs::CurveAndError, search::Inputs::BitsAndError}) {
    const bool error = inputs != search::Inputs::Curve && inputs != search::Inputs::Bits;
    if (error && !sensitivities) continue;
    for (const char* kernel : {"se", "matern"}) {
      if (inputs == search::Inputs::Error && std::string_view(kernel) == "matern") continue;  // has its own kernel
      for (const Output& output : kOutputs)
        all.push_back({inputs,
                       kernel,
                       output.name,
                       {inputs, search::parse_covariance(kernel), output.warp, starts, output.observe}});
    }
  }
  return all;
}

/// Where the runs come from that models have seen.
struct Sampling {
  std::string name;                               ///< "STRATEGY:GOAL", or "random"
  std::optional<search::StrategyOptions> search;  ///< none: random configurations
  search::Problem problem;                        ///< the configurations within the limits of the goal
};

std::vector<Sampling> samplings(const Options& o, const RecordedTable& recorded) {
  std::string texts = o.searches;
  if (texts.empty())
    texts = o.paper() ? "information:effective,kronbit:accuracy@120KB,kronbit:accuracy@160KB" : "information:effective";
  std::vector<Sampling> all;
  for (const std::string& text : split(texts, ',')) {
    const size_t colon = text.find(':');
    if (colon == std::string::npos)
      input_error("--searches", "wanted STRATEGY:GOAL, with commas between them, got {}", quote(text));
    search::StrategyOptions search;
    search.name = text.substr(0, colon);
    search.goal = parse_goal(text.substr(colon + 1));
    search.model.starts = 1;
    search::make_strategy(search);  // the name is checked before anything is run
    all.push_back({text, search, recorded.problem(search.goal)});
  }
  all.push_back({"random", std::nullopt, recorded.problem({})});
  return all;
}

/// Random configurations: a third to the last task, the others to any task.
std::vector<search::ReplayedRun> random_runs(const search::Problem& problem, int64_t count, uint64_t seed) {
  Rng rng(seed, Purpose::Search, {9});
  const std::vector<int64_t> order = rng.permutation(std::ssize(problem.candidates));
  const auto tasks = static_cast<int>(problem.costs.size());
  std::vector<search::ReplayedRun> runs;
  for (int64_t i = 0; i < count; ++i)
    runs.push_back({static_cast<size_t>(order[static_cast<size_t>(i)]),
                    i % 3 == 0 ? tasks - 1 : static_cast<int>(rng.below(static_cast<uint64_t>(tasks)))});
  return runs;
}

std::vector<search::ReplayedRun> searched_runs(const Sampling& sampling, int64_t count, uint64_t seed) {
  search::ReplayOptions options;
  options.strategy = *sampling.search;
  options.seed = options.strategy.seed = seed;
  options.budget = 1e300;
  options.most_runs = count;
  std::vector<search::ReplayedRun> runs;
  for (const search::ReplayStep& step : search::replay(sampling.problem, options).steps)
    runs.push_back({step.candidate, step.task});
  return runs;
}

/// Of candidates without any run, and of every one run left out in turn; nothing where a fit failed.
struct Verdicts {
  std::optional<gp::Calibration> unseen, left_out;
};

Verdicts verdicts(const search::Problem& problem, const search::History& history, const Variant& variant,
                  uint64_t seed) {
  const std::vector<size_t> drawn = search::drawn_trainings(problem, seed);
  const int last = history.last();
  try {
    const search::Model model = search::widened(search::fit_model(history, variant.options, seed));
    std::vector<gp::Observation> unseen;
    for (size_t c = 0; c < problem.candidates.size(); ++c)
      if (history.depth(c) == 0)
        unseen.push_back({model.places()(problem.candidates[c]), last, problem.answers[c][drawn[c]].accuracy.back()});
    Verdicts result;
    result.unseen = gp::calibrate(model.predict_observations(unseen), unseen);
    result.left_out = gp::calibrate(model.gp().leave_one_x_out(), model.gp().observations(), last);
    return result;
  } catch (const NumericalError&) {
    return {};
  }
}

/// Mean and standard error of every measure over the repeats that have one.
Json summary(const std::vector<std::optional<gp::Calibration>>& repeats) {
  Json json = Json::object();
  for (const Measure& measure : kMeasures) {
    std::vector<double> values;
    for (const auto& each : repeats)
      if (each) values.push_back(measure.of(*each));
    if (values.empty()) return nullptr;
    const double n = static_cast<double>(values.size());
    json[measure.name] = std::stod(fmt::format("{:.5g}", app::mean(values)));
    json[std::string(measure.name) + "_error"] =
        n > 1.0 ? Json(std::stod(fmt::format("{:.3g}", app::sd(values) / std::sqrt(n)))) : Json();
  }
  return json;
}

int64_t repeats_of(const Options& o) {
  return parse_int(o.repeats.empty() ? (o.paper() ? "12" : "2") : o.repeats, 1, 100'000, "--repeats");
}

Json judge_models(const Options& o, const std::vector<Sampling>& all_samplings, bool sensitivities) {
  const int64_t repeats = repeats_of(o);
  const std::vector<int64_t> counts =
      parse_ints(o.runs.empty() ? (o.paper() ? "16,24,32" : "16") : o.runs, 4, 10'000, "--runs");
  const std::vector<Variant> all = variants(sensitivities, o.paper() ? 2 : 1);
  for (const Sampling& sampling : all_samplings) {
    const int64_t most = std::ssize(sampling.problem.candidates) - 10;
    const int64_t count = *std::max_element(counts.begin(), counts.end());
    if (count > most)
      input_error("--runs", "wanted at most {}, so that something is unseen by {}, got {}", most, sampling.name, count);
  }
  Json rows = Json::array();
  for (const Sampling& sampling : all_samplings) {
    for (const int64_t count : counts) {
      std::vector<std::vector<Verdicts>> each(all.size(), std::vector<Verdicts>(static_cast<size_t>(repeats)));
      parallel_for(repeats, 1, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
          const auto seed = static_cast<uint64_t>(r);
          const auto runs =
              !sampling.search ? random_runs(sampling.problem, count, seed) : searched_runs(sampling, count, seed);
          const search::History history = search::history_of(sampling.problem, runs, seed);
          for (size_t v = 0; v < all.size(); ++v) {
            if (app::stop_requested) throw Error("stopped");
            each[v][seed] = verdicts(sampling.problem, history, all[v], seed);
          }
        }
      });
      for (size_t v = 0; v < all.size(); ++v) {
        std::vector<std::optional<gp::Calibration>> unseen, left_out;
        for (const Verdicts& verdict : each[v]) unseen.push_back(verdict.unseen), left_out.push_back(verdict.left_out);
        rows.push_back({{"sampling", sampling.name},
                        {"configurations", sampling.problem.candidates.size()},
                        {"runs", count},
                        {"inputs", search::name_of(all[v].inputs)},
                        {"kernel", all[v].kernel},
                        {"warp", all[v].warp},
                        {"failed", std::count(unseen.begin(), unseen.end(), std::nullopt)},
                        {"unseen", summary(unseen)},
                        {"left_out", summary(left_out)}});
      }
      app::tell("{}: {} runs\n", sampling.name, count);
    }
  }
  return rows;
}

/// Is it what `kronbit search` fits unless told otherwise?
bool is_default(const Json& row, bool sensitivities) {
  const app::SearchSettings settings;
  return row["inputs"] == search::name_of(sensitivities ? search::Inputs::BitsAndError : search::Inputs::Curve) &&
         row["kernel"] == settings.covariance && row["warp"] == settings.warp;
}

std::string text(const Json& row, const char* measure, int digits, double times = 1.0) {
  if (row.is_null()) return "-";
  return fmt::format("{:.{}f}", times * get_number(row, measure, -1e300, 1e300, "models"), digits);
}

/// "kronbit, accuracy@100KB" of a search, "random" of none.
std::string sampling_text(const Json& row) {
  std::string name = get_string(row, "sampling", "models");
  const size_t colon = name.find(':');
  return colon == std::string::npos ? name : name.replace(colon, 1, ", ");
}

std::string coverages(const Json& calibration) {
  return fmt::format("{} / {} / {}", text(calibration, "coverage50", 0, 100), text(calibration, "coverage90", 0, 100),
                     text(calibration, "coverage95", 0, 100));
}

std::string default_model_markdown(const Json& rows) {
  const bool sensitivities = std::any_of(rows.begin(), rows.end(), [](const Json& row) {
    return row["inputs"] == search::name_of(search::Inputs::BitsAndError);
  });
  std::vector<std::vector<std::string>> lines = {{"runs from", "runs", "configurations", "median error", "RMSE",
                                                  "rank correlation", "coverage 50 / 90 / 95 %", "log score",
                                                  "median error, best quarter", "coverage 90 %, best quarter"}};
  for (const Json& row : rows) {
    if (!is_default(row, sensitivities)) continue;
    const Json& u = row["unseen"];
    lines.push_back({sampling_text(row), fmt::format("{}", row["runs"].get<int64_t>()),
                     fmt::format("{}", row["configurations"].get<int64_t>()), text(u, "median_error", 2, 100),
                     text(u, "rmse", 2, 100), text(u, "spearman", 3), coverages(u), text(u, "log_score", 2),
                     text(u, "median_error_best", 2, 100), text(u, "coverage90_best", 0, 100)});
  }
  if (lines.size() == 1) return "";
  return "\n## The default model\n\nWhat `kronbit search` fits unless told otherwise, after the runs of every search; "
         "configurations are those within the limit of the search. Best quarter: of the unseen ones, those expected to "
         "be best.\n\n" +
         markdown_table(lines);
}

std::string markdown(const Json& json) {
  const Json& table = json["table"];
  std::string out = fmt::format(
      "# Models judged\n\nOn `{}`: {} configurations, tasks of {} epochs; means of {} repeats, {}. "
      "A model has seen some runs, each with all tasks up to its last: those that a search makes (its strategy and "
      "goal are named), or random configurations, a third of them to the last task and the others to any. It predicts "
      "what one training of every configuration it has not seen reaches on the validation images at the last task. "
      "Its deviations are as wide as `kronbit` shows them, widened() in [search/model.h](../../search/model.h). "
      "Errors in points. Coverage: share within the central 50, 90 and 95 % intervals, noise included. Log score: mean "
      "log density, nats, higher is better. Left out: one configuration at a time, hyper-parameters fixed, last "
      "task, deviations as fitted.\n\n    {}\n",
      get_string(table, "file", "models"), table["configurations"].get<int64_t>(), get_string(table, "tasks", "models"),
      json["repeats"].get<int64_t>(), get_string(json, "program", "models"), get_string(json, "command", "models"));
  out += default_model_markdown(json["rows"]);
  std::vector<std::vector<std::string>> lines;
  const auto flush = [&] {
    if (lines.size() > 1) out += markdown_table(lines);
  };
  std::string section;
  for (const Json& row : json["rows"]) {
    const std::string here = fmt::format("{} runs, {}", row["runs"].get<int64_t>(), sampling_text(row));
    if (here != section) {
      flush();
      section = here;
      out += fmt::format("\n## {}\n\n", here);
      lines = {{"inputs", "kernel", "of", "median error", "RMSE", "rank correlation", "in the best quarter",
                "coverage 50 / 90 / 95 %", "log score", "left out: 90 %", "left out: log score"}};
    }
    const Json& u = row["unseen"];
    lines.push_back({get_string(row, "inputs", "models"), get_string(row, "kernel", "models"),
                     get_string(row, "warp", "models"), text(u, "median_error", 2, 100), text(u, "rmse", 2, 100),
                     text(u, "spearman", 3), text(u, "spearman_best", 2), coverages(u), text(u, "log_score", 2),
                     text(row["left_out"], "coverage90", 0, 100), text(row["left_out"], "log_score", 2)});
  }
  flush();
  return out + recorded_facts_markdown(json);
}

std::vector<std::vector<std::string>> csv(const Json& json) {
  std::vector<std::vector<std::string>> rows = {
      {"sampling", "runs", "inputs", "kernel", "warp", "of", "measure", "mean", "standard_error"}};
  for (const Json& row : json["rows"])
    for (const char* of : {"unseen", "left_out"})
      for (const Measure& measure : kMeasures) {
        if (row[of].is_null()) continue;
        const Json& error = row[of][std::string(measure.name) + "_error"];
        rows.push_back({row["sampling"].get<std::string>(), fmt::format("{}", row["runs"].get<int64_t>()),
                        row["inputs"].get<std::string>(), row["kernel"].get<std::string>(),
                        row["warp"].get<std::string>(), of, measure.name, text(row[of], measure.name, 5),
                        error.is_null() ? "" : fmt::format("{:.3g}", error.get<double>())});
      }
  return rows;
}

/// Median error against runs of the first search, of each input and warp: the Matérn kernel, and inputs that have none.
Results::Plot plot(const Json& json) {
  app::Script s;
  s.line("set border 3 lc rgb '{}'\nset tics nomirror\nset key outside right tc rgb '{}'", app::ink::kMuted,
         app::ink::kText);
  s.line("set xlabel 'runs of a search'\nset ylabel 'median error (points)'\nset yrange [0:*]");
  std::vector<std::string> names;
  std::vector<app::DataBlock> blocks;
  for (const Json& row : json["rows"]) {
    if (row["sampling"] != json["rows"][0]["sampling"] || row["unseen"].is_null()) continue;
    const auto inputs = row["inputs"].get<std::string>();
    const bool has_matern = std::any_of(json["rows"].begin(), json["rows"].end(), [&](const Json& other) {
      return other["inputs"] == inputs && other["kernel"] == "matern";
    });
    if (has_matern && row["kernel"] != "matern") continue;
    const std::string name = fmt::format("{}, {}", inputs, row["warp"].get<std::string>());
    const auto place = static_cast<size_t>(std::find(names.begin(), names.end(), name) - names.begin());
    if (place == names.size()) {
      names.push_back(name);
      blocks.emplace_back(fmt::format("d{}", place));
    }
    blocks[place].row({row["runs"].get<double>(), 100 * row["unseen"]["median_error"].get<double>()});
  }
  for (size_t i = 0; i < blocks.size(); ++i)
    s.plot(blocks[i],
           fmt::format("with linespoints lw 1.6 dt {} pt 7 ps 0.5 lc rgb '{}' title {}", i / app::ink::kSeries + 1,
                       app::ink::series(static_cast<int>(i)), app::in_quotes(names[i])));
  return {"error",
          "Median error of unseen configurations against the number of runs (Matérn kernel over curve or bits)",
          s.text()};
}

Results pages(Json json) {
  Results results;
  results.markdown = markdown(json);
  results.csv = csv(json);
  results.plots = {plot(json)};
  results.json = std::move(json);
  return results;
}

int run(Options& o, const std::string& command) {
  if (!o.from.empty()) {
    write_results("models", o.out.empty() ? o.from.parent_path() : o.out, pages(read_json(o.from)));
    return 0;
  }
  if (o.recorded.table.empty()) o.recorded.table = "data/tables/resnet20-cifar10.csv";
  if (!o.threads.empty()) set_threads(static_cast<int>(parse_int(o.threads, 1, 1024, "--threads")));
  if (o.out.empty()) o.out = app::data_folder() / ("experiments-" + o.preset);
  const RecordedTable recorded = read_recorded(o.recorded);
  const std::vector<Sampling> all = samplings(o, recorded);
  const search::Problem& whole = all.back().problem;
  Json json = {{"experiment", "models"},       {"preset", o.preset}, {"machine", machine_line()},
               {"program", program_version()}, {"command", command}, {"table", recorded.to_json()},
               {"repeats", repeats_of(o)}};
  json["table"]["configurations"] = whole.candidates.size();
  json["rows"] = judge_models(o, all, recorded.errors.has_value());
  json["error_forms"] = recorded.errors ? judge_error_forms(whole, recorded.table.epochs) : Json::array();
  json["seeds"] = judge_seeds(recorded.table);
  write_results("models", o.out, pages(std::move(json)));
  return 0;
}

int parse_and_run(int argc, char** argv) {
  CLI::App app{"The model of the search judged on a recorded table", "models"};
  app.footer("Exit codes: 0 done, 1 failed, 2 wrong input, 130/143 stopped by a signal.");
  Options o;
  app.add_option("--preset", o.preset, "quick (seconds) or paper (minutes): runs, repeats, starts of a fit")
      ->check(CLI::IsMember({"quick", "paper"}));
  add_recorded_options(app, o.recorded);
  app.add_option("--runs", o.runs, "that models have seen, with commas between them");
  app.add_option("--repeats", o.repeats, "of each, with other trainings and runs");
  app.add_option("--searches", o.searches,
                 "that make the runs, STRATEGY:GOAL with commas between them: kronbit:accuracy@120KB");
  app.add_option("--threads", o.threads, "for repeats");
  app.add_option("--from", o.from, "make the pages of this models.json again, fit nothing");
  app.add_option("--out", o.out, "folder of the results (default: ~/.cache/kronbit/experiments-PRESET)");
  return parse_options(app, argc, argv, [&] { return run(o, command_line(argc, argv, "models")); });
}

}  // namespace
}  // namespace kronbit::experiments

int main(int argc, char** argv) {
  using namespace kronbit::experiments;
  return guarded("models", [&] { return parse_and_run(argc, argv); });
}
