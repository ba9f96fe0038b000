#include "search/run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "run_support.h"
#include "tensor/base/error.h"
#include "tests/tensor/message_of.h"

namespace kronbit::search {
namespace {

using ::testing::HasSubstr;

Ended search(const std::filesystem::path& folder, bool resume, const std::string& budget,
             FakeEvaluator&& evaluator = FakeEvaluator()) {
  SearchRun run(fake_spec(folder, resume, budget));
  return run.explore(evaluator);
}

TEST(Run, JournalHoldsTheContract) {
  const auto folder = fresh_folder("contract");
  EXPECT_EQ(search(folder, false, "12evals"), Ended::BudgetSpent);
  int64_t evaluations = 0;
  for (const Json& line : read_journal(folder).lines) {
    if (get_string(line, "event", "test") != "evaluation") continue;
    ++evaluations;
    const int64_t task = get_int(line, "task", 0, 2, "test");
    EXPECT_EQ(get_ints(line, "bits", 1, 8, "test").size(), 8u);
    EXPECT_EQ(get_numbers(line, "w", 0, 1, "test").size(), 2u);
    EXPECT_EQ(get_number(line, "epochs", 0, 100, "test"), (std::vector<double>{0, 1, 4})[static_cast<size_t>(task)]);
    const std::vector<double> accuracies = get_numbers(line, "accuracies", 0, 1, "test");
    EXPECT_EQ(static_cast<int64_t>(accuracies.size()), task + 1);
    EXPECT_EQ(get_number(line, "accuracy", 0, 1, "test"), accuracies.back());
    EXPECT_GT(get_number(line, "seconds", 0, 100, "test"), 0);
  }
  EXPECT_EQ(evaluations, 12);
}

TEST(Run, AnyNumberOfWorkersWritesTheSameJournal) {
  const auto one = fresh_folder("one");
  search(one, false, "18evals");
  for (const int slots : {2, 4, 16}) {
    const auto many = fresh_folder("many");
    EXPECT_EQ(search(many, false, "18evals", FakeEvaluator(slots, 7)), Ended::BudgetSpent);
    EXPECT_EQ(essence(one), essence(many)) << slots;
  }
}

/// Resumes `folder` from a journal cut to `bytes` of `text` and expects the unbroken result.
void expect_resumes(const std::filesystem::path& folder, const std::string& text, size_t bytes,
                    const std::string& budget, const std::vector<std::string>& unbroken) {
  write_journal(folder, std::string_view(text).substr(0, bytes));
  FakeEvaluator evaluator(1 + static_cast<int>(bytes % 3), bytes);
  evaluator.failure = flaky;
  SearchRun run(fake_spec(folder, true, budget));
  run.explore(evaluator);
  ASSERT_EQ(essence(folder), unbroken) << "cut after " << bytes << " bytes";
}

TEST(Run, KilledAfterAnyLineEndsTheSame) {
  const auto whole = fresh_folder("whole"), cut = fresh_folder("cut");
  {
    FakeEvaluator evaluator;
    evaluator.failure = flaky;
    SearchRun run(fake_spec(whole, false, "11evals"));
    run.explore(evaluator);
  }
  const std::string text = text_of(whole);
  const std::vector<std::string> unbroken = essence(whole);
  for (size_t at = 0; at != std::string::npos; at = text.find('\n', at + 1)) {
    expect_resumes(cut, text, at, "11evals", unbroken);  // torn: the line end is missing
    expect_resumes(cut, text, at == 0 ? 0 : at + 1, "11evals", unbroken);
  }
}

TEST(Run, KilledAtAnyByteOfTheLastTwoLinesEndsTheSame) {
  const auto whole = fresh_folder("whole"), cut = fresh_folder("cut");
  {
    FakeEvaluator evaluator;
    evaluator.failure = flaky;
    SearchRun run(fake_spec(whole, false, "10evals"));
    run.explore(evaluator);
  }
  const std::string text = text_of(whole);
  const std::vector<std::string> unbroken = essence(whole);
  size_t start = text.size() - 1;
  for (int line = 0; line < 2; ++line) start = text.rfind('\n', start - 1);
  for (size_t at = start; at <= text.size(); ++at) expect_resumes(cut, text, at, "10evals", unbroken);
}

TEST(Run, TornTailIsKeptAsideAndReadersIgnoreIt) {
  const auto folder = fresh_folder("torn");
  search(folder, false, "9evals");
  const std::string text = text_of(folder);
  const size_t lines = read_journal(folder).lines.size();
  for (const std::string& tail :
       {std::string("{\"event\":\"eval"), std::string(300, '\0'), std::string("{\"event\":\"x\",\"n\":99}\n"),
        std::string("\n"), std::string("{}{}")}) {
    write_journal(folder, text + tail);
    const JournalContent content = read_journal(folder);
    EXPECT_EQ(content.lines.size(), lines);
    EXPECT_EQ(content.torn, tail);
    EXPECT_EQ(text_of(folder), text + tail);  // reading changes nothing
    SearchRun run(fake_spec(folder, true, "9evals"));
    EXPECT_TRUE(run.repaired());
    EXPECT_EQ(text_of(folder), text);
    EXPECT_EQ(read_text(folder / "journal.torn", 1000), tail);
  }
}

TEST(Run, DamageInTheMiddleIsRefusedWithItsLine) {
  const auto folder = fresh_folder("damage");
  search(folder, false, "9evals");
  const std::string text = text_of(folder);
  const size_t third = text.find('\n', text.find('\n') + 1) + 1;
  const size_t end = text.find('\n', third);
  const std::string before = text.substr(0, third), line = text.substr(third, end - third + 1),
                    after = text.substr(end + 1);
  std::string flipped = line;
  flipped[line.size() / 2] ^= 1;
  for (const std::string& bad :
       {flipped, line.substr(0, 40) + "\n", std::string(line.size(), '\0') + "\n", std::string("\n"), line + line,
        line.substr(0, line.size() - 1) + "\r\n", line.substr(0, line.size() - 1), std::string()}) {
    write_journal(folder, before + bad + after);
    const std::string error = message_of([&] { SearchRun(fake_spec(folder, true, "9evals")); });
    EXPECT_THAT(error, ::testing::ContainsRegex("journal.jsonl line [34]\\]")) << bad;
    EXPECT_EQ(text_of(folder), before + bad + after);
  }
}

TEST(Run, SomebodyElsesJournalIsNotTouched) {
  const auto folder = fresh_folder("foreign");
  write_journal(folder, "{\"event\":\"epoch\",\"loss\":1.5}\n");
  EXPECT_THAT(message_of([&] { SearchRun(fake_spec(folder, true, "9evals")); }), HasSubstr("line 1"));
  EXPECT_EQ(text_of(folder), "{\"event\":\"epoch\",\"loss\":1.5}\n");
}

TEST(Run, ExistingRunIsRefusedWithoutResumeAndStartsAfreshWithIt) {
  const auto folder = fresh_folder("exists");
  EXPECT_EQ(search(folder, true, "7evals"), Ended::BudgetSpent);  // nothing there: --resume starts
  EXPECT_THAT(message_of([&] { search(folder, false, "7evals"); }), HasSubstr("wanted a folder without a run"));
  const std::string text = text_of(folder);
  EXPECT_EQ(search(folder, true, "7evals"), Ended::BudgetSpent);
  EXPECT_EQ(text_of(folder), text);
}

TEST(Run, OtherSettingsAreListed) {
  const auto folder = fresh_folder("settings");
  search(folder, false, "7evals");
  SearchSpec spec = fake_spec(folder, true, "7evals");
  spec.settings["lr"] = 0.2;
  spec.settings["data"]["crc"] = "11111111";
  spec.settings["extra"] = true;
  const std::string error = message_of([&] { SearchRun{std::move(spec)}; });
  EXPECT_THAT(error, HasSubstr("lr: 0.1 in the run, 0.2 now"));
  EXPECT_THAT(error, HasSubstr("data.crc: \"00000000\" in the run, \"11111111\" now"));
  EXPECT_THAT(error, HasSubstr("extra: nothing in the run, true now"));
  SearchSpec seed = fake_spec(folder, true, "7evals");
  seed.explorer.strategy.seed = 4;
  seed.candidates.pop_back();
  const std::string other = message_of([&] { SearchRun{std::move(seed)}; });
  EXPECT_THAT(other, HasSubstr("seed: 3 in the run, 4 now"));
  EXPECT_THAT(other, HasSubstr("candidates: 431 in the run, 430 now"));
}

TEST(Run, NotesAreKeptAndMayBeOthersOnResume) {
  const auto folder = fresh_folder("notes");
  const auto go_on = [&](const std::string& place) {
    SearchSpec spec = fake_spec(folder, true, "7evals");
    spec.notes = {{"made_by", {{"place", place}}}, {"kept", 1}};
    SearchRun run(std::move(spec));
    return run.lines();
  };
  const auto count = [](const std::vector<Json>& lines) {
    return std::count_if(lines.begin(), lines.end(), [](const Json& line) { return line["event"] == "resumed"; });
  };
  EXPECT_EQ(go_on("here")[0]["made_by"]["place"], "here");
  EXPECT_EQ(go_on("here").size(), 1u);
  EXPECT_EQ(count(go_on("there")), 1);
  const std::vector<Json> lines = go_on("there");
  EXPECT_EQ(count(lines), 1);
  EXPECT_EQ((*find_note(lines, "made_by"))["place"], "there");
  EXPECT_EQ(find_note(lines, "else"), nullptr);
  EXPECT_EQ(count(go_on("here")), 2);
  EXPECT_EQ(search(folder, true, "7evals"), Ended::BudgetSpent);  // a program that notes nothing
}

TEST(Run, BudgetIsATotalThatMayGrow) {
  const auto grown = fresh_folder("grown"), whole = fresh_folder("whole");
  search(whole, false, "15evals");
  search(grown, false, "8evals");
  EXPECT_THAT(message_of([&] { search(grown, true, "7evals"); }), HasSubstr("got 7 evaluations"));
  EXPECT_THAT(message_of([&] { search(grown, true, "30min"); }), HasSubstr("wanted at least the run's 8 evaluations"));
  EXPECT_EQ(search(grown, true, "15evals"), Ended::BudgetSpent);
  EXPECT_THAT(message_of([&] { search(grown, true, "8evals"); }), HasSubstr("15 evaluations"));
  const auto evaluations = [](const std::filesystem::path& folder) {
    std::vector<std::string> lines;
    for (Json line : read_journal(folder).lines) {
      if (line.at("event") != "evaluation") continue;
      for (const char* key : {"n", "seconds", "worker", "crc"}) line.erase(key);
      lines.push_back(dump_line(line));
    }
    return lines;
  };
  EXPECT_EQ(evaluations(grown), evaluations(whole));
}

TEST(Run, TimeBudgetCountsJournalledSeconds) {
  const auto folder = fresh_folder("seconds");
  SearchRun run(fake_spec(folder, false, "4s"));
  FakeEvaluator evaluator;
  EXPECT_EQ(run.explore(evaluator), Ended::BudgetSpent);
  EXPECT_GE(run.progress().seconds, 4.0);
  EXPECT_LT(run.progress().seconds, 5.5);
  EXPECT_EQ(run.progress().fraction, 1.0);
}

/// Tells divergences too.
class Diverging : public FakeEvaluator {
 public:
  std::optional<Result> wait(double seconds) override {
    std::optional<Result> result = FakeEvaluator::wait(seconds);
    if (!result) return result;
    Json kl = Json::array();
    for (size_t t = 0; t < result->accuracies.size(); ++t) kl.push_back(0.5 / static_cast<double>(t + 1));
    result->details = {{"kl", kl}};
    return result;
  }
};

TEST(Run, DivergencesAreReadBack) {
  const auto folder = fresh_folder("kl");
  std::vector<std::vector<double>> told;
  {
    SearchRun run(fake_spec(folder, false, "9evals"));
    Diverging evaluator;
    run.explore(evaluator);
    told = run.explorer().history().divergences;
    EXPECT_EQ(run.explorer().history().known.size(), told.size());
    for (size_t c = 0; c < told.size(); ++c) EXPECT_EQ(told[c].size(), run.explorer().known(c).size());
  }
  SearchRun again(fake_spec(folder, true, "9evals"));
  EXPECT_EQ(again.explorer().history().divergences, told);
  EXPECT_THAT(told, testing::Contains(testing::Contains(0.5)));
}

TEST(Run, BudgetTexts) {
  EXPECT_EQ(Budget::parse("65evals").evaluations, 65);
  EXPECT_EQ(Budget::parse("30min").seconds, 1800.0);
  for (const char* text : {"", "65", "0evals", "-1evals", "evals", "1e9min", "30 min", "1.5evals", "0s", "nan"})
    EXPECT_THROW(Budget::parse(text), InputError) << text;
}

TEST(Run, StopEndsAtOnceAndResumes) {
  const auto folder = fresh_folder("stop"), whole = fresh_folder("whole");
  search(whole, false, "11evals");
  {
    SearchRun run(fake_spec(folder, false, "11evals"));
    FakeEvaluator evaluator(3, 1);
    Callbacks callbacks;
    callbacks.stop = [&] { return run.progress().evaluations >= 5; };
    EXPECT_EQ(run.explore(evaluator, callbacks), Ended::Stopped);
    EXPECT_TRUE(evaluator.cancelled);
  }
  EXPECT_LT(read_journal(folder).lines.size(), read_journal(whole).lines.size());
  search(folder, true, "11evals");
  EXPECT_EQ(essence(folder), essence(whole));
}

TEST(Run, ReportsImprovementsAndProgress) {
  const auto folder = fresh_folder("callbacks");
  SearchRun run(fake_spec(folder, false, "16evals"));
  std::vector<Best> bests;
  double fraction = -1.0;
  Callbacks callbacks;
  callbacks.improved = [&](const Best& best) { bests.push_back(best); };
  callbacks.journalled = [&](const Json&, const Progress& progress) {
    EXPECT_GE(progress.fraction, fraction);
    fraction = progress.fraction;
  };
  FakeEvaluator evaluator(2);
  run.explore(evaluator, callbacks);
  EXPECT_EQ(fraction, 1.0);
  ASSERT_GE(bests.size(), 2u);
  for (size_t b = 1; b < bests.size(); ++b) EXPECT_GT(bests[b].score, bests[b - 1].score);
  EXPECT_EQ(bests.back().task, 2);
  ASSERT_TRUE(run.state().best());
  EXPECT_EQ(run.state().best()->candidate, bests.back().candidate);
  const RunState read = read_state(
      read_journal(folder), Explorer(fake_candidates(), run.explorer().tries(), run.explorer().options()), {0, 1, 4});
  EXPECT_EQ(read.best()->candidate, bests.back().candidate);
  EXPECT_EQ(read.evaluations(), 16);
}

TEST(Run, OneWriterPerRun) {
  const auto folder = fresh_folder("lock");
  const SearchRun run(fake_spec(folder, false, "7evals"));
  EXPECT_THAT(message_of([&] { search(folder, true, "7evals"); }), HasSubstr(std::to_string(getpid())));
}

TEST(Run, EndsWhenNothingIsLeft) {
  const auto one = fresh_folder("exhausted"), four = fresh_folder("exhausted_four");
  const auto explore = [](const std::filesystem::path& folder, const char* budget, int slots) {
    SearchSpec spec = fake_spec(folder, true, budget);
    spec.candidates = {spec.candidates[5], spec.candidates[6]};
    spec.tries = {};
    SearchRun run(std::move(spec));
    FakeEvaluator evaluator(slots);
    EXPECT_EQ(run.explore(evaluator), Ended::Exhausted);
    EXPECT_TRUE(run.state().exhausted());
    EXPECT_GE(run.progress().evaluations, 2);
    return read_journal(folder).lines.size();
  };
  const size_t lines = explore(one, "100evals", 1);
  explore(four, "100evals", 4);
  EXPECT_EQ(essence(one), essence(four));
  EXPECT_EQ(read_journal(one).lines.back()["event"], "exhausted");
  EXPECT_EQ(explore(one, "100evals", 1), lines) << "told again";
  EXPECT_EQ(explore(one, "200evals", 1), lines + 1) << "more than the budget";
}

TEST(Run, SeedsFollowTheBitsNotTheOrder) {
  const auto folder = fresh_folder("seeds");
  SearchSpec spec = fake_spec(folder, false, "30evals");
  spec.candidates.resize(12);
  spec.tries = {};
  SearchRun run(std::move(spec));
  FakeEvaluator evaluator;
  run.explore(evaluator);
  std::map<Bits, uint64_t> seed_of;
  std::set<uint64_t> seeds;
  int again = 0;
  for (const Request& request : evaluator.log) {
    EXPECT_LT(request.seed, uint64_t{1} << 63);
    const auto [at, fresh] = seed_of.emplace(request.bits, request.seed);
    EXPECT_EQ(at->second, request.seed) << format_bits(request.bits);
    seeds.insert(request.seed);
    again += !fresh;
  }
  EXPECT_EQ(seeds.size(), seed_of.size());
  EXPECT_GT(again, 0) << "no configuration was run to two tasks";
}

TEST(Run, ApplicationLinesAreKept) {
  const auto folder = fresh_folder("record");
  search(folder, false, "7evals");
  {
    SearchRun run(fake_spec(folder, true, "7evals"));
    run.record({{"event", "final"}, {"bits", Bits(8, 4)}, {"accuracy", 0.5}});
  }
  SearchRun run(fake_spec(folder, true, "8evals"));
  EXPECT_EQ(get_string(run.lines()[run.lines().size() - 2], "event", "test"), "final");
  EXPECT_EQ(run.progress().evaluations, 7);
}

TEST(Run, TheFolderAboveNeedNotBeReadable) {
  const auto above = fresh_folder("above");
  std::filesystem::create_directories(above / "me");
  const bool root = geteuid() == 0;  // who may read everything
  constexpr uid_t kNobody = 65534;
  std::filesystem::permissions(above, std::filesystem::perms(root ? 0711 : 0311));
  if (root) {
    ASSERT_EQ(chown((above / "me").c_str(), kNobody, kNobody), 0);
    ASSERT_EQ(seteuid(kNobody), 0);
  }
  EXPECT_NO_THROW(search(above / "me", false, "3evals"));
  if (root) {
    ASSERT_EQ(seteuid(0), 0);
  }
  std::filesystem::permissions(above, std::filesystem::perms(0755));
}

}  // namespace
}  // namespace kronbit::search
