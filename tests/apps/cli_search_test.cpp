// The options of the search on the real program: strategies, models, allowed bits, leaving the curve, replicates, why.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "search/journal.h"
#include "search/strategies/refine.h"
#include "search/strategy.h"
#include "tests/apps/fake_run.h"
#include "tests/apps/program.h"

namespace kronbit::app {
namespace {

Json run_search(const std::string& name, const Words& more) {
  Words arguments = with_flag(search_arguments(fresh(name), {"--no-baselines"}), "--final-top", "0");
  for (size_t i = 0; i < more.size();) {  // a flag that is there already gets another value
    const bool alone = i + 1 == more.size() || more[i + 1].starts_with("--");
    if (alone)
      arguments.push_back(more[i]);
    else
      arguments = with_flag(arguments, more[i], more[i + 1]);
    i += alone ? 1 : 2;
  }
  return kronbit_json(arguments);
}

/// Bits of all evaluations in a journal, in order.
std::vector<Bits> evaluated(const fs::path& run) {
  std::vector<Bits> lists;
  for (const Json& line : search::read_journal(run).lines)
    if (line["event"] == "evaluation") lists.push_back(line["bits"].get<Bits>());
  return lists;
}

TEST(SearchOptions, EveryStrategyRuns) {
  for (const search::StrategyInfo& info : search::strategies()) {
    const std::string name(info.name);
    SCOPED_TRACE(name);
    const Json result = run_search("strategy-" + name, {"--net", "toy10", "--weights", tiny_weights("toy10"),
                                                        "--strategy", name, "--budget", "6evals", "--tasks", "0,0.02"});
    EXPECT_EQ(result["evaluations"], 6);
    const auto lists = evaluated(scratch() / ("strategy-" + name));
    EXPECT_GE(std::set<Bits>(lists.begin(), lists.end()).size(), 3u);
  }
}

TEST(SearchOptions, OnlyTheChosenBitsAndTheSizeThatIsAllowed) {
  run_search("choices", {"--choices", "2,4,8", "--fix", "conv1=7", "--max-size", "120KB", "--by", "accuracy",
                         "--refine", "--budget", "16evals", "--tasks", "0"});
  bool left_the_curve = false;
  for (const Json& line : search::read_journal(scratch() / "choices").lines) {
    if (line["event"] == "plan")
      for (const Json& planned : line["runs"]) left_the_curve |= planned["reason"] == "refine";
    if (line["event"] != "evaluation") continue;
    const auto bits = line["bits"].get<Bits>();
    EXPECT_EQ(bits[0], 7);
    for (size_t l = 1; l < bits.size(); ++l) EXPECT_TRUE(bits[l] == 2 || bits[l] == 4 || bits[l] == 8);
    const Json size = kronbit_json({"size", "--net", "resnet20", "--bits", format_bits(bits)});
    EXPECT_LE(size["bytes"].get<int64_t>(), 120000);
    EXPECT_EQ(line["bytes"], size["bytes"]);
  }
  EXPECT_TRUE(left_the_curve);
  const Json best = kronbit_json(
      {"size", "--net", "resnet20", "--bits", "@" + (scratch() / "choices" / "best" / "bits.json").string()});
  EXPECT_LE(best["bytes"].get<int64_t>(), 120000);
}

TEST(SearchOptions, BaselinesKeepToTheRules) {
  const fs::path out = fresh("baselines");
  Words arguments =
      with_flag(search_arguments(out, {"--fix", "conv1=8", "--choices", "2,4,8", "--refine"}), "--tasks", "0");
  arguments = with_flag(with_flag(arguments, "--budget", "14evals"), "--final-top", "0");
  kronbit_json(arguments);
  const auto lists = evaluated(out);
  ASSERT_EQ(lists.size(), 14u);
  EXPECT_EQ(format_bits(lists[0]), "8x1 4x18");
  for (const Bits& bits : lists) {
    EXPECT_EQ(bits[0], 8);
    for (size_t l = 1; l < bits.size(); ++l) EXPECT_TRUE(bits[l] == 2 || bits[l] == 4 || bits[l] == 8);
  }
}

TEST(SearchOptions, RefusedBeforeAnythingIsWritten) {
  const fs::path out = fresh("refused-options");
  for (const char* strategy : {"halving", "hyperband"})
    refused(search_arguments(out, {"--strategy", strategy, "--refine"}), "refine");
  refused(search_arguments(out, {"--fix", "conv1=8", "--try", "4x19"}), "--try");
  refused(search_arguments(out, {"--choices", "2,4", "--try", "3x19"}), "such as 4x19");
  EXPECT_FALSE(fs::exists(out));
}

/// Settings with a limit and made-up sensitivities.
SearchSettings limited(const std::string& size) {
  SearchSettings s = fake_settings();
  s.wish.by = "accuracy";
  s.wish.max_size = size;
  Rng rng(1, Purpose::Test);
  for (int l = 0; l < 19; ++l) {
    s.errors.emplace_back();
    const double scale = std::exp(rng.uniform(-2, 2));
    for (int b = 1; b <= 8; ++b) s.errors.back().push_back(scale * std::pow(4.0, -b));
  }
  return s;
}

TEST(SearchSpace, BeginsWithTheAllocationAtTheLimit) {
  for (const char* size : {"90KB", "140KB", "200KB"})
    for (const char* strategy : {"kronbit", "sensitivity"}) {
      SCOPED_TRACE(std::string(size) + " " + strategy);
      SearchSettings s = limited(size);
      s.strategy = strategy;
      s.rules.fix = {"conv1=8"};
      const SearchSpace space = make_space(s);
      const search::Allocation best = search::allocate({.errors = space.errors,
                                                        .cost = space.cost_of,
                                                        .rules = *space.explorer.strategy.rules,
                                                        .limits = space.limits});
      ASSERT_EQ(space.tries.size(), 1u);
      const search::Plan plan = search::Explorer(space.candidates, space.tries, space.explorer).plan_round();
      EXPECT_EQ(space.candidates[plan.runs[1].candidate].bits, best.bits);
      size_t near = 0;
      for (const Bits& bits : search::neighbours(best.bits, *space.explorer.strategy.rules))
        near += search::find_candidate(space.candidates, bits) < space.candidates.size();
      EXPECT_GE(near, 30u);
      for (const search::Candidate& c : space.candidates) {
        EXPECT_TRUE(space.limits.allow(c.cost));
        EXPECT_EQ(c.bits[0], 8);
        EXPECT_GE(c.log_error, best.log_error - 1e-9);
      }
    }
}

TEST(SearchSpace, TheLargestUniformNetworkWithinALimit) {
  const auto tries = [](const SearchSettings& s) {
    const SearchSpace space = make_space(s);
    std::vector<std::string> lists;
    for (const size_t c : space.tries) lists.push_back(format_bits(space.candidates[c].bits));
    return lists;
  };
  SearchSettings s = limited("140KB");
  EXPECT_THAT(tries(s), testing::ElementsAre("3x19"));
  s.wish.max_size = "200KB";
  EXPECT_THAT(tries(s), testing::ElementsAre("5x19"));
  s.wish.max_size = "";
  EXPECT_THAT(tries(s), testing::ElementsAre("4x19", "3x19", "2x19"));
  s.rules.choices = "2,4,8";
  s.rules.fix = {"conv1=8"};
  EXPECT_THAT(tries(s), testing::ElementsAre("8x1 4x18", "8x1 2x18"));
  s.tries = {"8x1 2x17 4x1"};
  EXPECT_THAT(tries(s), testing::ElementsAre("8x1 4x18", "8x1 2x18", "8x1 2x17 4x1"));
  s.no_baselines = true;
  EXPECT_THAT(tries(s), testing::ElementsAre("8x1 2x17 4x1"));
}

TEST(SearchSpace, ARunKeepsTheOneItBeganWith) {
  const SearchSettings now = limited("140KB");
  Json json = to_json(now);
  EXPECT_EQ(settings_from_json(json, "test").space, kSpace);
  json.erase("space");
  const SearchSettings old = settings_from_json(json, "test");
  EXPECT_EQ(to_json(old), json);
  const SearchSpace before = make_space(old), after = make_space(now);
  EXPECT_EQ(before.tries.size(), 3u);
  EXPECT_LT(before.candidates.size(), after.candidates.size());
  // Recorded before: its journal says how many candidates there were, and which.
  const RunView run = open_run(fs::path(KRONBIT_SOURCE_DIR) / "docs" / "results" / "resnet20-cifar10");
  EXPECT_EQ(run.settings.space, 1);
  EXPECT_GT(run.state.evaluations(), 0);
}

TEST(SearchOptions, TheDefaultOfValidationIsAFifthAndANumberIsTakenAtItsWord) {
  const fs::path run = fresh("a_fifth");
  Words arguments = words(
      "search --net toy10 --data synthetic:200 --tasks 0 --budget 1evals --no-baselines --probe 0 --final-top 0 "
      "--threads 1",
      {"--weights", tiny_weights("toy10").string(), "--out", run.string()});
  refused(with_flag(arguments, "--validation", "train:5000"), "train:5000: wanted fewer than the 160 images");
  refused(with_flag(arguments, "--validation", ""), "--validation");
  kronbit_json(arguments);
  const Json settings = search::read_journal(run).lines[0]["settings"];
  EXPECT_EQ(settings["validation"], "train:5000") << "journals of before say it so";
  EXPECT_EQ(settings["validation_images"], 32);
  EXPECT_EQ(to_json(settings_from_json(settings, "test"))["validation"], "train:5000");
  arguments.emplace_back("--resume");
  EXPECT_EQ(kronbit_json(with_flag(arguments, "--budget", "2evals"))["evaluations"], 2);
}

TEST(SearchOptions, ABudgetInTimeIsCountedInSeconds) {
  const Words arguments = with_flag(search_arguments(fresh("seconds")), "--budget", "1s");
  const Ended end = kronbit(with_flag(arguments, "--final-top", "0"));
  EXPECT_EQ(end.code, 0) << end.err;
  EXPECT_THAT(end.err, testing::HasSubstr("/1 seconds"));
}

TEST(SearchOptions, WhyNamesMeasurements) {
  const fs::path& run = unbroken_search();
  const Json rank = kronbit_json({"rank", run.string(), "--top", "1", "--why"});
  const auto lists = evaluated(run);
  ASSERT_FALSE(rank["why"].empty());
  double last = 1.0 + 1e-9;
  for (const Json& evidence : rank["why"]) {
    EXPECT_NE(std::find(lists.begin(), lists.end(), evidence["bits"].get<Bits>()), lists.end());
    EXPECT_LE(evidence["correlation"].get<double>(), last);
    last = evidence["correlation"].get<double>();
  }
  const Ended text = kronbit({"rank", run.string(), "--top", "1", "--why"});
  EXPECT_EQ(text.code, 0);
  EXPECT_NE(text.out.find("Why "), std::string::npos);
}

TEST(SearchOptions, ReplicatesReportTheSpread) {
  const Words replicates = {"--replicates", "2", "--budget", "5evals", "--seed", "7"};
  const Json spread = run_search("replicates", replicates);
  ASSERT_EQ(spread["replicates"].size(), 2u);
  const fs::path out = scratch() / "replicates";
  EXPECT_NE(evaluated(out / "seed-7"), evaluated(out / "seed-8"));
  EXPECT_EQ(spread["bits_sd"].size(), 19u);
  EXPECT_TRUE(fs::exists(out / "replicates.json"));
  // A replicate is the search that has this seed.
  run_search("alone", {"--budget", "5evals", "--seed", "8"});
  EXPECT_EQ(essence(out / "seed-8"), essence(scratch() / "alone"));
}

TEST(SearchOptions, ReplicatesLookForOtherRunsFirst) {
  const fs::path out = fresh("taken");
  fs::create_directories(out / "seed-8");
  fs::copy(unbroken_search() / search::kJournalName, out / "seed-8");
  refused(search_arguments(out, {"--replicates", "2", "--seed", "7"}), "seed-8 holds a run already");
  EXPECT_FALSE(fs::exists(out / "seed-7"));
}

}  // namespace
}  // namespace kronbit::app
