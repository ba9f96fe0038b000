// Strategies and models judged on a table made by a formula, as users run it; and the statistics behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

#include "apps/experiments/common/judge.h"
#include "quant/sensitivity.h"
#include "tests/apps/processes.h"
#include "tests/apps/program.h"
#include "tests/search/fake_table.h"

namespace kronbit::experiments {
namespace {

namespace fs = std::filesystem;
using app::Ended;
using app::file_text;
using app::Words;
using testing::HasSubstr;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Ended run(const std::string& name, const Words& arguments) {
  return app::kronbit(arguments, {.program = "experiments/" + name});
}

/// The table and its sensitivities in `folder`.
fs::path write_table(const fs::path& folder) {
  fs::create_directories(folder);
  app::write_file(folder / "fake.csv", search::fake_table({.configurations = 60, .seeds = 2}));
  quant::Sensitivity sensitivity;
  sensitivity.network = "fake";
  sensitivity.images = 1;
  sensitivity.mse = sensitivity.kl = search::fake_errors();
  for (size_t l = 0; l < sensitivity.mse.size(); ++l) sensitivity.layers.push_back("layer" + std::to_string(l));
  app::write_file(folder / "fake-sensitivity.json", dump_pretty(quant::to_json(sensitivity)));
  return folder / "fake.csv";
}

TEST(JudgeStatistics, QuantilesAreValuesOfTheSample) {
  EXPECT_EQ(quantile({3, 1, 2}, 0.5), 2);
  EXPECT_EQ(quantile({4, 1, 3, 2, 5}, 0.25), 2);
  EXPECT_EQ(quantile({1, kInfinity, kInfinity}, 0.5), kInfinity);
  EXPECT_EQ(quantile({1, 2, kInfinity}, 0.5), 2);
}

TEST(JudgeStatistics, MeanOfTheMiddleHalf) {
  EXPECT_EQ(interquartile_mean({100, 1, 2, 3}), 2.5);
  EXPECT_EQ(interquartile_mean({7}), 7);
  EXPECT_EQ(interquartile_mean({0, 1, 2, kInfinity}), 1.5);
  const std::vector<double> same(20, 0.25);
  const Interval interval = bootstrapped(same);
  EXPECT_EQ(interval.low, 0.25);
  EXPECT_EQ(interval.high, 0.25);
  std::vector<double> rising;
  for (int i = 0; i < 101; ++i) rising.push_back(i);
  const Interval spread = bootstrapped(rising);
  EXPECT_DOUBLE_EQ(spread.value, 50);
  // The sd of this mean is near 29 / sqrt(101) times the 1.2 that the trimming costs for a uniform sample.
  EXPECT_NEAR(spread.high - spread.low, 4 * 3.5, 4);
}

TEST(JudgeGoals, AreParsed) {
  EXPECT_EQ(parse_goal("effective").limits.max_bytes, 0);
  EXPECT_EQ(parse_goal("accuracy@100KB").limits.max_bytes, 100000);
  EXPECT_EQ(parse_goal("accuracy@3.5bits").limits.max_average_bits, 3.5);
  for (const char* bad : {"size", "accuracy@", "accuracy@3", "accuracy@9bits", "best"})
    EXPECT_THROW(parse_goal(bad), InputError) << bad;
}

TEST(JudgeFunctions, AreRescaledWithoutChangingTheOrder) {
  const TestFunction& function = test_function("forrester-4");
  const JudgeCase made = function_case(function, 50);
  ASSERT_EQ(made.problem.candidates.size(), 50u);
  const search::Optimum best = true_optimum(made.problem, made.goal);
  EXPECT_EQ(best.score, 1.0);
  for (size_t c = 0; c < 50; ++c) {
    const search::Answers& answers = made.problem.answers[c][0];
    EXPECT_GE(function.value(1, made.problem.candidates[c].w),
              function.value(1, made.problem.candidates[best.candidate].w));
    EXPECT_NEAR(answers.accuracy[1], 0.05 + 0.9 * made.problem.truth[c], 1e-12);
    EXPECT_GE(answers.accuracy[0], 0.05 - 1e-12);
    EXPECT_LE(answers.accuracy[0], 0.95 + 1e-12);
  }
}

TEST(Judge, RandomSearchIsWhatItMustBe) {
  JudgeCase made = function_case(test_function("forrester-4"), 40);
  JudgeOptions options;
  options.strategies = {"random"};
  options.replays = 9;
  options.budget = 40;
  options.tolerance = 1e-12;
  const Json all = judge(made, options);
  const Json& random = all["strategies"][0];
  EXPECT_EQ(random["final"]["mean"].get<double>(), 0.0);  // everything was run
  EXPECT_EQ(random["reached"]["share"].get<double>(), 1.0);
  EXPECT_EQ(random["bought"][1].get<double>(), 40.0);
  EXPECT_EQ(random["bought"][0].get<double>(), 0.0);
  EXPECT_EQ(all["regret_of_everything_run"].get<double>(), 0.0);
  double before = 1e300;
  for (const Json& regret : random["regret"]["median"]) {
    if (regret.is_null()) continue;
    EXPECT_LE(regret.get<double>(), before);
    before = regret.get<double>();
  }
  options.budget = 3;
  EXPECT_EQ(judge(made, options)["strategies"][0]["bought"][1].get<double>(), 3.0);
  EXPECT_LT(judge(made, options)["strategies"][0]["reached"]["share"].get<double>(), 1.0);
}

TEST(Judge, AHitThatIsLostAgainIsNotReached) {
  // What is told prefers the candidate that is worse.
  JudgeCase made = function_case(test_function("forrester-4"), 2);
  made.problem.truth = {1.0, 0.0};
  for (double& told : made.problem.answers[0][0].accuracy) told = 0.5;
  for (double& told : made.problem.answers[1][0].accuracy) told = 0.6;
  JudgeOptions options;
  options.strategies = {"random"};
  options.replays = 9;  // some of them begin with the good one
  options.budget = 2;
  const Json result = judge(made, options)["strategies"][0];
  EXPECT_EQ(result["reached"]["share"].get<double>(), 0.0);
  EXPECT_EQ(result["reached_validation"]["share"].get<double>(), 1.0);
}

TEST(Judge, ReplaysWithoutAnIncumbentAreLost) {
  JudgeOptions options;
  options.strategies = {"halving", "gp-ei", "random"};
  options.against = "random";
  options.replays = 3;
  options.budget = 1;
  const JudgeCase made = function_case(test_function("forrester-4"), 40);
  const Json poor = judge(made, options);
  const Json& lost = poor["strategies"][0]["paired"];
  EXPECT_EQ(lost["pairs"].get<int>(), 3);
  EXPECT_EQ(lost["wins"].get<int>(), 0);
  EXPECT_EQ(lost["ties"].get<int>(), 0);
  EXPECT_EQ(lost["without"].get<int>(), 3);
  EXPECT_TRUE(lost["mean"].is_null());
  EXPECT_FALSE(poor["strategies"][0].contains("paired_choice")) << "no model";
  options.budget = 6;
  const Json rich = judge(made, options);
  EXPECT_EQ(rich["strategies"][1]["paired_choice"]["pairs"].get<int>(), 3);
  EXPECT_EQ(rich["strategies"][1]["paired_choice"]["without"].get<int>(), 0);
  EXPECT_FALSE(rich["strategies"][2].contains("paired_choice"));
}

/// What must not change from run to run.
Json essence(Json json) {
  json.erase("command");
  for (Json& each : json["cases"])
    for (Json& strategy : each["strategies"]) strategy.erase("thought_seconds");
  return json;
}

TEST(Strategies, AreJudgedOnATable) {
  const fs::path out = app::fresh("strategies");
  const std::string table = write_table(out).string();
  const Words common = {"--table",      table,
                        "--strategies", "random,information,sensitivity",
                        "--goals",      "effective,accuracy@4bits",
                        "--replays",    "3",
                        "--budget",     "6"};
  const auto with = [&](const Words& more) {
    Words words = common;
    words.insert(words.end(), more.begin(), more.end());
    return words;
  };
  const Ended one = run("strategies", with({"--out", (out / "one").string(), "--threads", "1"}));
  ASSERT_EQ(one.code, 0) << one.err;
  const Ended two = run("strategies", with({"--out", (out / "two").string(), "--threads", "2"}));
  ASSERT_EQ(two.code, 0) << two.err;
  const Json json = read_json(out / "one/strategies.json");
  Json first = essence(json), second = essence(read_json(out / "two/strategies.json"));
  first.erase("machine");
  second.erase("machine");
  EXPECT_EQ(first, second);
  ASSERT_EQ(json["cases"].size(), 2u);
  ASSERT_EQ(json["cases"][1]["strategies"].size(), 3u);
  EXPECT_EQ(json["cases"][0]["strategies"][0]["paired"]["pairs"].get<int>(), 3);
  EXPECT_FALSE(json["cases"][0]["strategies"][2].contains("paired"));
  const std::string page = file_text(out / "one/strategies.md");
  EXPECT_THAT(page, HasSubstr("## accuracy@4bits"));
  EXPECT_THAT(page, HasSubstr("model's choice better than sensitivity"));
  EXPECT_THAT(page, HasSubstr("one of its recorded trainings"));
  EXPECT_THAT(page, HasSubstr("begin with 10 random runs"));
  EXPECT_THAT(page, HasSubstr("(`" + json["cases"][0]["optimum"]["bits"].get<std::string>() + "`)"));
  EXPECT_THAT(file_text(out / "one/strategies.csv"), HasSubstr("effective,random,"));
  if (app::has_gnuplot()) {
    EXPECT_THAT(file_text(out / "one/strategies.svg"), HasSubstr("http://www.w3.org/2000/svg"));
  }
  const Ended again =
      run("strategies", {"--from", (out / "one/strategies.json").string(), "--out", (out / "again").string()});
  ASSERT_EQ(again.code, 0) << again.err;
  for (const char* kind : {"json", "md", "csv"})
    EXPECT_EQ(file_text(out / "one" / (std::string("strategies.") + kind)),
              file_text(out / "again" / (std::string("strategies.") + kind)));
}

TEST(Strategies, AreJudgedOnFunctions) {
  const fs::path out = app::fresh("functions");
  const Ended ended = run("strategies", {"--function", "forrester-2", "--replays", "2", "--budget", "3", "--candidates",
                                         "60", "--out", out.string()});
  ASSERT_EQ(ended.code, 0) << ended.err;
  const Json json = read_json(out / "strategies.json");
  EXPECT_GT(json["cases"][0]["strategies"].size(), 3u);
  EXPECT_THAT(file_text(out / "strategies.md"), HasSubstr("own randomness only"));
}

TEST(Strategies, ATableOfSingleTrainingsSaysSo) {
  const fs::path out = app::fresh("single");
  fs::create_directories(out);
  app::write_file(out / "fake.csv", search::fake_table({.configurations = 30}));
  const Ended ended = run("strategies", {"--table", (out / "fake.csv").string(), "--strategies", "random", "--goals",
                                         "effective", "--replays", "2", "--budget", "2", "--out", out.string()});
  ASSERT_EQ(ended.code, 0) << ended.err;
  const std::string page = file_text(out / "strategies.md");
  EXPECT_THAT(page, HasSubstr("30 of 30 configurations were trained once only"));
  EXPECT_THAT(page, HasSubstr(" ± "));
  const Json json = read_json(out / "strategies.json");
  EXPECT_GT(json["cases"][0]["optimum"]["error"].get<double>(), 0.0);
  EXPECT_THAT(page, HasSubstr("(`" + json["cases"][0]["optimum"]["bits"].get<std::string>() + "`)"));
}

TEST(Models, AreJudgedOnATable) {
  const fs::path out = app::fresh("models");
  const std::string table = write_table(out).string();
  const Ended ended = run("models", {"--table", table, "--repeats", "2", "--searches",
                                     "information:effective,kronbit:accuracy@5bits", "--out", out.string()});
  ASSERT_EQ(ended.code, 0) << ended.err;
  const Json json = read_json(out / "models.json");
  bool found = false;
  for (const Json& row : json["rows"]) {
    EXPECT_EQ(row["failed"].get<int>(), 0);
    EXPECT_GT(row["unseen"]["median_error"].get<double>(), 0.0);
    if (row["inputs"] != "curve+error" || row["sampling"] != "random" || row["kernel"] != "se") continue;
    found = true;
    EXPECT_LT(row["unseen"]["median_error"].get<double>(), 0.03);  // the error decides about these accuracies
    EXPECT_GT(row["unseen"]["spearman"].get<double>(), 0.9);
  }
  EXPECT_TRUE(found);
  const std::string page = file_text(out / "models.md");
  for (const char* heading : {"information, effective", "kronbit, accuracy@5bits", "random"}) {
    EXPECT_THAT(page, HasSubstr(fmt::format("\n## 16 runs, {}\n", heading)));
    EXPECT_THAT(page, HasSubstr(fmt::format("\n| {} | 16 | ", heading))) << "of the default model";
  }
  std::map<std::string, size_t> configurations;
  for (const Json& row : json["rows"])
    configurations[row["sampling"].get<std::string>()] = row["configurations"].get<size_t>();
  EXPECT_EQ(configurations["random"], 60u);
  EXPECT_LT(configurations["kronbit:accuracy@5bits"], 60u);
  ASSERT_EQ(json["error_forms"].size(), 3u);
  for (const Json& row : json["error_forms"]) EXPECT_LT(row["S"].get<double>(), row["-ln S"].get<double>());
  EXPECT_THAT(file_text(out / "models.md"), HasSubstr("| epochs | -ln S | S^(1/4) |"));
  ASSERT_EQ(json["seeds"].size(), 3u);
  for (const Json& row : json["seeds"]) {
    EXPECT_EQ(row["configurations"].get<int>(), 60);
    EXPECT_LT(row["high_configurations"].get<int>(), 60);
    EXPECT_NEAR(row["test"].get<double>(), 0.002, 0.0006);  // the noise of the formula
  }
  EXPECT_NEAR(json["seeds"][2]["validation"].get<double>(), 0.002, 0.0006);
  EXPECT_THAT(file_text(out / "models.md"), HasSubstr("## The luck of a training"));
  const Ended again = run("models", {"--from", (out / "models.json").string(), "--out", (out / "again").string()});
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(file_text(out / "models.md"), file_text(out / "again/models.md"));
}

TEST(Strategies, RefuseWithOneLine) {
  const fs::path out = app::fresh("refused-strategies");
  const std::string table = write_table(out).string();
  const auto expect = [&](const std::string& name, const Words& arguments, const std::string& what) {
    const Ended ended = run(name, arguments);
    EXPECT_EQ(ended.code, 2) << ended.out << ended.err;
    EXPECT_EQ(ended.error_lines(), 1) << ended.err;
    EXPECT_THAT(ended.err, HasSubstr(what));
  };
  expect("strategies", {"--table", (out / "none.csv").string()}, "none.csv");
  expect("strategies", {"--function", "ackley"}, "ackley");
  expect("strategies", {"--table", table, "--strategies", "luck"}, "luck");
  expect("strategies", {"--table", table, "--goals", "size"}, "--goals");
  expect("strategies", {"--table", table, "--goals", "accuracy@1B"}, "within the limits");
  expect("strategies", {"--table", table, "--replays", "0"}, "--replays");
  expect("strategies", {"--table", table, "--covariance", "cubic"}, "covariance");
  expect("models", {"--table", table, "--runs", "59"}, "--runs");
  expect("models", {"--table", table, "--searches", "luck:effective"}, "luck");
  expect("models", {"--table", table, "--searches", "kronbit"}, "STRATEGY:GOAL");
  expect("models", {"--table", table, "--searches", "kronbit:speed"}, "speed");
  expect("models", {"--table", table, "--curve", "bezier:99"}, "bezier");
  app::write_file(out / "bad.csv", "# validation images: 3\nnonsense\n");
  expect("models", {"--table", (out / "bad.csv").string()}, "bad.csv line 2");
}

TEST(Models, RunNothingThatTheirFileSays) {
  if (!app::has_gnuplot()) GTEST_SKIP() << "gnuplot is not installed";
  const fs::path out = app::fresh("evil_models"), canary = out / "canary";
  fs::create_directories(out);
  Json measures = Json::object();
  for (const char* name : {"median_error", "rmse", "spearman", "spearman_best", "median_error_best", "coverage90_best",
                           "coverage50", "coverage90", "coverage95", "log_score", "mean_z2"}) {
    measures[name] = 0.5;
    measures[std::string(name) + "_error"] = nullptr;
  }
  const Json row = {{"sampling", "search"}, {"runs", 16},
                    {"configurations", 20}, {"inputs", "curve'\nsystem('touch " + canary.string() + "')\n#"},
                    {"kernel", "se"},       {"warp", "it's"},
                    {"unseen", measures},   {"left_out", nullptr}};
  const Json json = {{"table", {{"file", "f"}, {"configurations", 20}, {"tasks", "0,1"}}},
                     {"repeats", 1},
                     {"program", "p"},
                     {"command", "c"},
                     {"rows", Json::array({row})}};
  app::write_file(out / "models.json", json.dump());
  const Ended ended = run("models", {"--from", (out / "models.json").string(), "--out", (out / "pages").string()});
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(ended.err, "");
  EXPECT_TRUE(fs::exists(out / "pages" / "models.svg"));
  EXPECT_FALSE(fs::exists(canary));
}

TEST(Models, FailAsUsualWhereStderrIsFull) {
  const std::string models = KRONBIT_BINARY_DIR "/experiments/models";
  EXPECT_EQ(app::output_of("'" + models + "' --table /nowhere.csv 2>/dev/full; echo $?"), "2");
}

}  // namespace
}  // namespace kronbit::experiments
