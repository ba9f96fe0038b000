// Evaluations that fail: retried, told from each other by whose fault it was, given up, and the same for any number of
// workers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "run_support.h"
#include "search/run.h"
#include "tensor/base/error.h"
#include "tests/tensor/message_of.h"

namespace kronbit::search {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

TEST(RunFailures, FailuresAreTheSameForAnyNumberOfWorkers) {
  const auto one = fresh_folder("flaky1"), many = fresh_folder("flaky4");
  for (const auto& [folder, slots] : {std::pair{one, 1}, {many, 4}}) {
    FakeEvaluator evaluator(slots, 9);
    evaluator.failure = flaky;
    SearchRun run(fake_spec(folder, false, "13evals"));
    EXPECT_EQ(run.explore(evaluator), Ended::BudgetSpent);
    EXPECT_EQ(run.progress().evaluations, 13);
    EXPECT_GE(run.progress().failed, 3 + 2 + 2);
    const Json& failed = *std::find_if(run.lines().begin(), run.lines().end(), [](const Json& line) {
      return line.at("event") == "failed" && line.at("attempt") == 3;
    });
    EXPECT_EQ(get_int(failed, "plan", 0, 100, "test"), 2);
  }
  EXPECT_EQ(essence(one), essence(many));
}

TEST(RunFailures, ResultsBehindAFailureAreKeptWhenTheTimeIsSpent) {
  const auto folder = fresh_folder("behind");
  SearchRun run(fake_spec(folder, false, "0.2s"));
  FakeEvaluator evaluator(4);
  evaluator.failure = [](const Request& request) { return request.index == 0 && request.attempt == 1 ? "died" : ""; };
  EXPECT_EQ(run.explore(evaluator), Ended::BudgetSpent);
  EXPECT_EQ(run.progress().failed, 1);
  EXPECT_EQ(run.progress().evaluations, evaluator.submitted - 1);
}

TEST(RunFailures, UselessResultsAreFailures) {
  const auto folder = fresh_folder("useless");
  class Broken : public FakeEvaluator {
   public:
    std::optional<Result> wait(double seconds) override {
      std::optional<Result> result = FakeEvaluator::wait(seconds);
      if (result && result->index == 1) result->accuracies[0] = std::nan("");
      if (result && result->index == 3) result->accuracies.push_back(0.5);
      return result;
    }
  } evaluator;
  SearchRun run(fake_spec(folder, false, "8evals"));
  EXPECT_EQ(run.explore(evaluator), Ended::BudgetSpent);
  EXPECT_EQ(run.progress().failed, 6);
  EXPECT_THAT(text_of(folder), HasSubstr("accuracy: wanted 0..1, got nan"));
}

/// Its failures say whose fault they are.
class FaultyEvaluator : public FakeEvaluator {
 public:
  using FakeEvaluator::FakeEvaluator;
  std::optional<Result> wait(double seconds) override {
    std::optional<Result> result = FakeEvaluator::wait(seconds);
    if (result && !result->ok) result->fault = parse_fault(result->reason, "test");
    return result;
  }
};

TEST(RunFailures, AnotherSeedIsDrawnOnlyWhereTheTrainingBrokeDown) {
  const auto folder = fresh_folder("seeds"), cut = fresh_folder("seeds_cut");
  const auto failure = [](const Request& request) {
    return request.index != 1 || request.attempt > 2 ? "" : request.attempt == 1 ? "worker" : "training";
  };
  std::vector<uint64_t> seeds;
  FaultyEvaluator evaluator;
  evaluator.failure = failure;
  SearchRun run(fake_spec(folder, false, "7evals"));
  EXPECT_EQ(run.explore(evaluator), Ended::BudgetSpent);
  for (const Request& request : evaluator.log)
    if (request.index == 1) seeds.push_back(request.seed);
  ASSERT_EQ(seeds.size(), 3u);
  EXPECT_EQ(seeds[0], seeds[1]);
  EXPECT_NE(seeds[1], seeds[2]);
  // The journal says so too: killed after both failures, the next attempt is the same.
  const std::string text = text_of(folder);
  const size_t second = text.find("\"fault\":\"training\"");
  ASSERT_NE(second, std::string::npos);
  write_journal(cut, text.substr(0, text.find('\n', second) + 1));
  FaultyEvaluator later;
  later.failure = failure;
  SearchRun resumed(fake_spec(cut, true, "7evals"));
  resumed.explore(later);
  EXPECT_EQ(later.log.front().seed, seeds[2]);
  EXPECT_EQ(essence(cut), essence(folder));
}

TEST(RunFailures, RefusedThreeTimesItEndsBeforeTheCandidateIsDropped) {
  const auto folder = fresh_folder("refused");
  {
    FaultyEvaluator evaluator;
    evaluator.failure = [](const Request& request) { return request.index == 2 ? "refused" : ""; };
    SearchRun run(fake_spec(folder, false, "8evals"));
    EXPECT_THAT(message_of<Error>([&] { run.explore(evaluator); }),
                HasSubstr("attempt 3 of an evaluation was refused: refused"));
    EXPECT_EQ(run.progress().failed, 2);
  }
  SearchRun run(fake_spec(folder, true, "8evals"));
  FakeEvaluator elsewhere;
  EXPECT_EQ(run.explore(elsewhere), Ended::BudgetSpent);
  EXPECT_EQ(elsewhere.log.front().index, 2);
  EXPECT_EQ(elsewhere.log.front().attempt, 3);
}

TEST(RunFailures, AWrongInputEndsItAtOnceAndLosesNothing) {
  const auto unbroken = fresh_folder("unbroken"), folder = fresh_folder("input");
  const auto without_inputs = [](const fs::path& run) {
    std::vector<std::string> lines;
    for (Json line : read_journal(run).lines) {
      for (const char* key : {"n", "seconds", "worker", "crc"}) line.erase(key);
      if (line["event"] != "input") lines.push_back(dump_line(line));
    }
    return lines;
  };
  const auto dies_once = [](const Request& request) { return request.index == 3 && request.attempt == 1; };
  FakeEvaluator whole;
  whole.failure = [&](const Request& request) { return dies_once(request) ? "worker" : ""; };
  SearchRun(fake_spec(unbroken, false, "9evals")).explore(whole);
  for (const uint64_t seed : {1, 2, 3, 4, 5, 6}) {  // orders in which four workers end
    fs::remove_all(folder);
    for (const int slots : {1, 4}) {
      FaultyEvaluator evaluator(slots, seed);
      evaluator.failure = [&](const Request& request) {
        return dies_once(request) ? "worker" : request.index == 5 ? "input" : "";
      };
      SearchRun run(fake_spec(folder, slots == 4, "9evals"));
      EXPECT_THAT(message_of<InputError>([&] { run.explore(evaluator); }),
                  HasSubstr("input; nothing is lost, --resume goes on after the repair"));
      EXPECT_LE(run.progress().failed, 1);
      EXPECT_LE(run.progress().evaluations, 5);
      if (slots == 1) {
        EXPECT_EQ(run.progress().evaluations, 5);
      }
      EXPECT_EQ(run.lines().back()["event"], "input");
      EXPECT_EQ(run.lines().back()["reason"], "input");
    }
    FakeEvaluator repaired;
    SearchRun run(fake_spec(folder, true, "9evals"));
    EXPECT_EQ(run.explore(repaired), Ended::BudgetSpent);
    EXPECT_EQ(without_inputs(folder), without_inputs(unbroken));
  }
}

TEST(RunFailures, AWrongInputWaitsForWhatIsPlannedBeforeIt) {
  const auto folder = fresh_folder("input4");
  for (const uint64_t seed : {1, 2, 3, 4, 5, 6}) {
    fs::remove_all(folder);
    FaultyEvaluator evaluator(4, seed);
    evaluator.failure = [&](const Request& request) {
      return request.index == 1 && request.attempt == 1 ? "worker" : request.index == 3 ? "input" : "";
    };
    SearchRun run(fake_spec(folder, false, "9evals"));
    EXPECT_THAT(message_of<InputError>([&] { run.explore(evaluator); }), HasSubstr("input"));
    EXPECT_GE(run.progress().evaluations, 1);  // run 0, which was under way
  }
}

TEST(RunFailures, GivesUpWhenEverythingFails) {
  const auto folder = fresh_folder("hopeless");
  SearchRun run(fake_spec(folder, false, "8evals"));
  FakeEvaluator evaluator(4);
  evaluator.failure = [](const Request&) { return "no such file: weights"; };
  EXPECT_THAT(message_of<Error>([&] { run.explore(evaluator); }),
              HasSubstr("9 evaluations in a row failed, the last one: no such file: weights"));
  EXPECT_EQ(run.progress().failed, 9);
}

}  // namespace
}  // namespace kronbit::search
