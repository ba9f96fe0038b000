// A process whose time is up begins no evaluation more, journals those that are running, and another goes on.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "run_support.h"
#include "search/run.h"

namespace kronbit::search {
namespace {

/// Lines of evaluations, successful or not: what was submitted and came back.
int64_t attempts_in(const std::vector<Json>& lines) {
  return std::count_if(lines.begin(), lines.end(), [](const Json& line) {
    return line.at("event") == "evaluation" || line.at("event") == "failed";
  });
}

TEST(RunTimeLimit, WhateverItsMomentTheSearchEndsAsUnbroken) {
  const auto whole = fresh_folder("unlimited");
  const auto explore = [](const std::filesystem::path& folder, FakeEvaluator& evaluator, int most) {
    evaluator.failure = flaky;
    SearchRun run(fake_spec(folder, true, "13evals"));
    Callbacks callbacks;
    callbacks.time_is_up = [&] { return evaluator.submitted >= most; };
    const int64_t before = attempts_in(run.lines());
    const Ended ended = run.explore(evaluator, callbacks);
    EXPECT_EQ(attempts_in(run.lines()) - before, evaluator.submitted) << "a result was lost";
    EXPECT_FALSE(evaluator.cancelled);
    return ended;
  };
  FakeEvaluator unlimited;
  ASSERT_EQ(explore(whole, unlimited, 1000), Ended::BudgetSpent);
  for (const int most : {0, 1, 2, 3, 6, 11}) {
    const int slots = 1 + most % 4;
    const auto folder = fresh_folder("limited");
    FakeEvaluator first(slots, 5), second(slots, 6);
    EXPECT_EQ(explore(folder, first, most), Ended::Stopped) << most;
    // Some at a time begin before; later only what failed is tried again, where results wait behind it.
    std::set<int64_t> begun;
    for (const Request& request : first.log) begun.insert(request.index);
    EXPECT_LT(std::ssize(begun), most + slots) << most;
    if (most == 0) {
      EXPECT_EQ(read_journal(folder).lines.size(), 1u) << "the settings only";
    }
    EXPECT_EQ(explore(folder, second, 1000), Ended::BudgetSpent) << most;
    EXPECT_EQ(essence(folder), essence(whole)) << most;
  }
}

}  // namespace
}  // namespace kronbit::search
