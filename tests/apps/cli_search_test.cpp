// The options of the search on the real program: strategies, models, allowed bits, leaving the curve, replicates, why.
#include <gtest/gtest.h>

#include <set>

#include "search/journal.h"
#include "search/strategy.h"
#include "tests/apps/program.h"

namespace kronbit::app {
namespace {

Json run_search(const std::string& name, const Words& more) {
  Words arguments = with_flag(search_arguments(fresh(name), {"--no-baselines", "--probe", "4"}), "--final-top", "0");
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
    const Json result = run_search("strategy-" + name, {"--strategy", name, "--budget", "6evals", "--tasks", "0,0.02"});
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

}  // namespace
}  // namespace kronbit::app
