// What a search says of time, memory and disk before it begins, and costs that it measures then.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "apps/kronbit/search/estimate.h"
#include "apps/kronbit/workers/try_out.h"
#include "search/journal.h"
#include "tests/apps/fake_run.h"
#include "tests/apps/program.h"
#include "tests/tensor/message_of.h"

namespace kronbit::app {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

Json settings_in(const fs::path& run) { return search::read_journal(run).lines.at(0)["settings"]; }

TEST(DryRun, SaysTimeMemoryAndDisk) {
  const fs::path out = fresh("plan");
  const Words arguments = search_arguments(out, {"--dry-run", "--workers", "2"});
  const Json plan = kronbit_json(arguments);
  EXPECT_FALSE(fs::exists(out));
  const auto seconds = plan["task_seconds"].get<std::vector<double>>();
  ASSERT_EQ(seconds.size(), 2u);
  EXPECT_GT(seconds[0], 0);
  EXPECT_GT(seconds[1], seconds[0]);  // it trains and measures twice
  const auto runs = plan["runs"].get<std::vector<double>>();
  EXPECT_EQ(std::accumulate(runs.begin(), runs.end(), 0.0), 10);
  EXPECT_GT(plan["seconds"].get<double>(), plan["search_seconds"].get<double>());
  EXPECT_EQ(plan["finals"], 4);  // the first of the ranking, the best measured, uniform, reversed
  EXPECT_EQ(plan["memory_bytes"].get<int64_t>(), 2 * plan["peak_bytes"].get<int64_t>());
  EXPECT_GT(plan["free_bytes"].get<int64_t>(), plan["memory_bytes"].get<int64_t>());
  const Ended text = kronbit(arguments);
  EXPECT_EQ(text.code, 0) << text.err;
  for (const char* part : {"a run to task 1: ", "in all: ", "memory: 2 x ", "disk: at most ", "share the processors"})
    EXPECT_THAT(text.out, HasSubstr(part));
}

TEST(DryRun, SaysNoLessMemoryAndDiskThanTheSearchTakes) {
  const Json plan = kronbit_json(search_arguments(fresh("plan"), {"--dry-run"}));
  const fs::path out = fresh("planned");
  const Json result = kronbit_json(search_arguments(out));
  const auto said = plan["peak_bytes"].get<double>(), taken = result["peak_bytes"].get<double>();
  EXPECT_GT(said, 0.8 * taken);
  EXPECT_LT(said, 1.3 * taken);
  int64_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(out))
    if (entry.is_regular_file()) bytes += static_cast<int64_t>(entry.file_size());
  EXPECT_GE(plan["disk_bytes"].get<int64_t>(), bytes);
}

TEST(DryRun, RefusesWhatDoesNotFitInMemory) {
  EXPECT_NO_THROW(check_memory(100, 300, 3, "128"));
  EXPECT_THAT(message_of([] { check_memory(100, 399, 4, "128"); }),
              AllOf(HasSubstr("--workers 3 at most"), HasSubstr("--batch than 128")));
  EXPECT_THAT(message_of([] { check_memory(400, 399, 1, "128"); }), HasSubstr("one evaluation"));
  const fs::path out = fresh("too_large");
  const Json plan = kronbit_json(search_arguments(out, {"--dry-run"}));
  const int64_t fit = plan["free_bytes"].get<int64_t>() / plan["peak_bytes"].get<int64_t>();
  if (fit > 500) GTEST_SKIP() << "1024 workers fit here";
  const std::string workers = std::to_string(2 * fit + 1);
  refused(search_arguments(out, {"--quiet", "--dry-run", "--workers", workers}),
          workers + " evaluations at the same time");
  refused(search_arguments(out, {"--quiet", "--cost", "measured", "--workers", workers}), "--workers");
  EXPECT_TRUE(search::read_journal(out).lines.empty());
}

TEST(MeasuredCosts, AreJournalledOnceAndUsedAgain) {
  const fs::path out = fresh("measured");
  const Words arguments = with_flag(search_arguments(out, {"--cost", "measured", "--resume"}), "--final-top", "0");
  const Ended begun = kronbit(with_flag(arguments, "--budget", "5evals"));
  ASSERT_EQ(begun.code, 0) << begun.err;
  const Json settings = settings_in(out);
  EXPECT_EQ(settings["cost"], "measured");
  const auto costs = settings["measured_costs"].get<std::vector<double>>();
  ASSERT_EQ(costs.size(), 2u);
  EXPECT_GT(costs[0], 0);
  EXPECT_GT(costs[1], costs[0]);
  // Were they timed again, they would differ, and the settings with them.
  const Ended more = kronbit(with_flag(arguments, "--budget", "8evals"));
  ASSERT_EQ(more.code, 0) << more.err;
  EXPECT_EQ(settings_in(out), settings);
  int evaluated = 0;
  for (const Json& line : search::read_journal(out).lines) {
    evaluated += line["event"] == "evaluation";
    if (line["event"] != "plan") continue;
    for (const Json& run : line["runs"]) EXPECT_EQ(run["cost"].get<double>(), costs[run["task"].get<size_t>()]);
  }
  EXPECT_EQ(evaluated, 8);
  EXPECT_EQ(kronbit_json({"rank", out.string(), "--top", "1"})["candidates"].size(), 1u);
  refused(with_flag(arguments, "--cost", "work"), "cost");
  refused(with_flag(search_arguments(unbroken_search(), {"--resume"}), "--cost", "measured"), "cost");
}

TEST(MeasuredCosts, AreThoseOfTheSettings) {
  SearchSettings s = fake_settings();
  s.cost = kMeasuredCost;
  s.measured_costs = {2, 5, 11, 31};
  EXPECT_EQ(make_space(s).costs, s.measured_costs);
  EXPECT_EQ(settings_from_json(to_json(s), "test").measured_costs, s.measured_costs);
  s.measured_costs = {2, 5};
  EXPECT_THROW(make_space(s), InputError);
}

TEST(Estimate, SumsWhatWasTimed) {
  SearchSettings s = fake_settings();
  s.tasks = "0,0.25";
  const SearchSpace space = make_space(s);
  Trial trial;
  trial.start = 1;
  trial.step = {0.5, 0.1};
  trial.evaluation = {0.3, 0.2};
  trial.pack = 0.25;
  trial.steps = {0, 11, 21};
  const std::vector<double> seconds = task_seconds(trial, space, 1000);  // four batches: 0.3 + 3 * 0.2 = 0.9
  ASSERT_EQ(seconds.size(), 2u);
  EXPECT_DOUBLE_EQ(seconds[0], 1 + 0.9 + 0.25);
  EXPECT_DOUBLE_EQ(seconds[1], 1 + 0.5 + 10 * 0.1 + 2 * 0.9 + 0.25);
  EXPECT_DOUBLE_EQ(task_seconds(trial, space, 125)[0], 1 + 0.15 + 0.25);  // half a batch
}

TEST(Estimate, PlaysTheBudgetThrough) {
  SearchSettings s = fake_settings();
  s.strategy = "uniform";
  s.tasks = "0,1";
  const SearchSpace space = make_space(s);
  const Rehearsal some = rehearse(space, search::Budget::parse("6evals"), {1, 60}, 1);
  EXPECT_EQ(some.evaluations(), 6);
  EXPECT_EQ(some.runs, (std::vector<double>{0, 6}));  // it runs at the last task only
  EXPECT_NEAR(some.seconds, 6 * 60, 5);
  const Rehearsal shared = rehearse(space, search::Budget::parse("6evals"), {1, 60}, 2);
  EXPECT_LT(shared.seconds, some.seconds);
  EXPECT_GE(shared.seconds, 3 * 60);
  const Rehearsal timed = rehearse(space, search::Budget::parse("200s"), {1, 60}, 2);
  EXPECT_EQ(timed.runs[1], 4);  // the fourth begins before the 200 seconds are spent
}

}  // namespace
}  // namespace kronbit::app
