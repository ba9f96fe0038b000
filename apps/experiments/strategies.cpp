// Search strategies judged: replayed on a recorded table or on test functions, over many seeds.
#include <fmt/format.h>

#include <chrono>
#include <numeric>

#include "apps/experiments/common/judge.h"
#include "apps/experiments/common/recorded.h"
#include "apps/kronbit/options/common.h"
#include "search/strategies/evolution.h"
#include "tensor/base/error.h"
#include "tensor/io/file.h"
#include "tensor/io/parse.h"
#include "tensor/parallel.h"

namespace kronbit::experiments {
namespace {

struct Options {
  std::string preset = "quick", functions, strategies = "all", goals, replays, budget, candidates, inputs = "curve",
              observe = "accuracy", kernel = "matern", against = "sensitivity", tolerance = "0.002", seed = "0",
              threads;
  RecordedOptions recorded;
  std::filesystem::path out, from;
  bool pay_difference = false;
  bool paper() const { return preset == "paper"; }
};

std::vector<JudgeCase> function_cases(const Options& o) {
  const int64_t candidates =
      parse_int(o.candidates.empty() ? (o.paper() ? "2000" : "150") : o.candidates, 2, 100'000, "--candidates");
  std::vector<JudgeCase> cases;
  for (const TestFunction& function : test_functions())
    if (o.functions == "all") cases.push_back(function_case(function, static_cast<size_t>(candidates)));
  if (o.functions != "all")
    for (const std::string& name : split(o.functions, ','))
      cases.push_back(function_case(test_function(name), static_cast<size_t>(candidates)));
  return cases;
}

std::vector<std::string> chosen_strategies(const Options& o) {
  if (o.strategies != "all") return split(o.strategies, ',');
  std::vector<std::string> names;
  for (const search::StrategyInfo& info : search::strategies())
    if (o.functions.empty() || !info.needs_bits) names.emplace_back(info.name);
  return names;
}

Json work(const Options& o, const std::string& command) {
  JudgeOptions judge_options;
  judge_options.strategies = chosen_strategies(o);
  judge_options.replays = parse_int(o.replays.empty() ? (o.paper() ? "100" : "4") : o.replays, 1, 100'000, "--replays");
  judge_options.budget = parse_number(o.budget.empty() ? (o.paper() ? "30" : "4") : o.budget, 1, 1e6, "--budget");
  judge_options.seed = static_cast<uint64_t>(parse_int(o.seed, 0, INT64_MAX, "--seed"));
  judge_options.tolerance = parse_number(o.tolerance, 0, 1, "--tolerance");
  judge_options.pay_difference = o.pay_difference;
  judge_options.against = o.against;
  judge_options.model.inputs = search::parse_inputs(o.inputs);
  judge_options.model.observe = search::parse_observe(o.observe);
  judge_options.model.kernel = search::parse_covariance(o.kernel);
  if (!o.paper()) judge_options.model.starts = 1;
  Json json = {{"experiment", "strategies"},
               {"preset", o.preset},
               {"machine", machine_line()},
               {"program", program_version()},
               {"command", command},
               {"replays", judge_options.replays},
               {"budget", judge_options.budget},
               {"seed", judge_options.seed},
               {"tolerance", judge_options.tolerance},
               {"pay_difference", o.pay_difference},
               {"against", o.against},
               {"population", search::kPopulation},
               {"inputs", o.inputs},
               {"observe", o.observe},
               {"kernel", o.kernel},
               {"strategies", Json::array()},
               {"cases", Json::array()}};
  for (const std::string& name : judge_options.strategies) {
    search::StrategyOptions options;
    options.name = name;
    search::make_strategy(options);  // names are checked before anything is run
    for (const search::StrategyInfo& info : search::strategies())
      if (info.name == name) json["strategies"].push_back({{"name", name}, {"what", info.what}});
  }
  std::vector<JudgeCase> cases;
  if (o.functions.empty()) {
    const RecordedTable recorded = read_recorded(o.recorded);
    json["table"] = recorded.to_json();
    for (const std::string& goal : split(o.goals, ',')) {
      JudgeCase each{goal, parse_goal(goal), {}};
      each.problem = recorded.problem(each.goal);
      cases.push_back(std::move(each));
    }
  } else {
    cases = function_cases(o);
  }
  for (const JudgeCase& each : cases) json["cases"].push_back(judge(each, judge_options));
  return json;
}

int run(Options& o, const std::string& command) {
  if (!o.from.empty()) {
    write_results("strategies", o.out.empty() ? o.from.parent_path() : o.out, judged(read_json(o.from)));
    return 0;
  }
  if (o.recorded.table.empty() && o.functions.empty()) {
    if (o.paper()) {
      o.recorded.table = "data/tables/resnet20-cifar10.csv";
    } else {
      o.functions = "currin,forrester-4";
    }
  }
  if (!o.recorded.table.empty() && !o.functions.empty())
    input_error("--table", "wanted a table or --function, got both");
  if (o.goals.empty()) o.goals = "effective,accuracy@2bits,accuracy@2.5bits,accuracy@3bits,accuracy@4bits";
  if (!o.threads.empty()) set_threads(static_cast<int>(parse_int(o.threads, 1, 1024, "--threads")));
  if (o.out.empty()) o.out = app::data_folder() / ("experiments-" + o.preset);
  write_results("strategies", o.out, judged(work(o, command)));
  return 0;
}

int parse_and_run(int argc, char** argv) {
  CLI::App app{"Search strategies judged: replayed on a recorded table or on test functions", "strategies"};
  app.footer("Exit codes: 0 done, 1 failed, 2 wrong input, 130/143 stopped by a signal.");
  Options o;
  app.add_option("--preset", o.preset, "quick (seconds) or paper (hours): replays, budget, candidates, model")
      ->check(CLI::IsMember({"quick", "paper"}));
  add_recorded_options(app, o.recorded);
  app.add_option("--function", o.functions, "test functions instead of a table, with commas between them, or all");
  app.add_option("--candidates", o.candidates, "points of a test function");
  app.add_option("--strategies", o.strategies, "with commas between them, or all");
  app.add_option("--goals", o.goals, "on a table: effective,accuracy@100KB,accuracy@3.5bits");
  app.add_option("--replays", o.replays, "of each strategy");
  app.add_option("--budget", o.budget, "of a replay, in runs to the last task");
  app.add_option("--seed", o.seed, "of the first replay");
  app.add_option("--tolerance", o.tolerance, "how near to the best counts as reached");
  app.add_option("--against", o.against, "paired differences are to this strategy");
  app.add_option("--inputs", o.inputs, "what models see: curve, error, bits, curve+error or bits+error");
  app.add_option("--observe", o.observe, "what models are told: accuracy or smooth");
  app.add_option("--covariance", o.kernel, "of curve or bits: se or matern");
  app.add_flag("--pay-difference", o.pay_difference, "a promoted training goes on where it stopped");
  app.add_option("--threads", o.threads, "for replays");
  app.add_option("--from", o.from, "make the pages of this strategies.json again, replay nothing");
  app.add_option("--out", o.out, "folder of the results (default: ~/.cache/kronbit/experiments-PRESET)");
  return parse_options(app, argc, argv, [&] { return run(o, command_line(argc, argv, "strategies")); });
}

}  // namespace
}  // namespace kronbit::experiments

int main(int argc, char** argv) {
  using namespace kronbit::experiments;
  return guarded("strategies", [&] { return parse_and_run(argc, argv); });
}
