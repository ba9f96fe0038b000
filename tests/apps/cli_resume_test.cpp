// A run on the real program, from its folder alone: gone on with, made again, and what made it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "apps/kronbit/workers/words.h"
#include "search/journal.h"
#include "tests/apps/program.h"

namespace kronbit::app {
namespace {

using ::testing::HasSubstr;

Json first_line(const fs::path& run) { return search::read_journal(run).lines.at(0); }

/// The unbroken search, cut off after so many lines.
fs::path cut_off(const std::string& name, int lines) {
  const fs::path run = fresh(name);
  fs::create_directories(run);
  std::istringstream whole(file_text(unbroken_search() / search::kJournalName));
  std::string text;
  for (std::string line; lines > 0 && std::getline(whole, line); --lines) text += line + "\n";
  write_file(run / search::kJournalName, text);
  return run;
}

TEST(Resume, FromTheFolderAlone) {
  const fs::path run = cut_off("alone", 5);
  Surroundings elsewhere;
  elsewhere.folder = "/";
  const Ended end = kronbit({"search", "--resume", "--out", run.string(), "--threads", "1"}, elsewhere);
  ASSERT_EQ(end.code, 0) << end.err;
  EXPECT_EQ(essence(run), essence(unbroken_search()));
  EXPECT_EQ(first_line(run), first_line(unbroken_search()));
  EXPECT_THAT(file_text(run / search::kJournalName), Not(HasSubstr("\"resumed\"")));
}

TEST(Resume, ComparesWhatIsGiven) {
  const fs::path run = cut_off("compares", 5);
  const std::string before = file_text(run / search::kJournalName);
  const Words resume = {"search", "--resume", "--out", run.string(), "--threads", "1"};
  const auto with = [&](const Words& more) {
    Words all = resume;
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  refused(with({"--lr", "0.007"}), R"(lr: "0.005" in the run, "0.007" now)");
  refused(with({"--fix", "conv1=8"}), R"(fix: [] in the run, ["conv1=8"] now)");
  refused(with({"--budget", "9evals"}), "wanted at least the run's 10 evaluations");
  EXPECT_EQ(file_text(run / search::kJournalName), before);
  const fs::path none = fresh("none");
  refused({"search", "--resume", "--out", none.string()}, "[--net] wanted a network");
  refused({"search", "--resume", "--net", "resnet20", "--out", none.string()}, "there is no run in " + none.string());
  refused({"search", "--out", none.string()}, "[--net]");
  EXPECT_FALSE(fs::exists(none));
}

TEST(Resume, WithOtherDataFoldersWrittenAlike) {
  const fs::path run = fresh("relative");
  Surroundings beside;
  beside.folder = tiny_cifar().parent_path();
  const std::string name = tiny_cifar().filename().string();
  Words one = search_arguments(run, {"--no-baselines"});
  one = with_flag(with_flag(with_flag(one, "--final-top", "0"), "--budget", "1evals"), "--data", "cifar10:" + name);
  ASSERT_EQ(kronbit(one, beside).code, 0);
  EXPECT_EQ(first_line(run)["settings"]["data"], "cifar10:" + tiny_cifar().string());
  one.emplace_back("--resume");
  EXPECT_EQ(kronbit(one, beside).code, 0);
  const Ended end = kronbit({"search", "--resume", "--out", run.string(), "--threads", "1"});
  EXPECT_EQ(end.code, 0) << end.err;
  EXPECT_EQ(search::read_journal(run).lines.back()["event"], "evaluation") << "no final trainings, as it was begun";
}

TEST(Status, PrintsTheCommandThatMakesTheRunAgain) {
  const fs::path& run = unbroken_search();
  const Ended printed = kronbit({"status", run.string(), "--command"});
  ASSERT_EQ(printed.code, 0);
  EXPECT_EQ(printed.err, "");
  EXPECT_EQ(printed.out, kronbit_json({"status", run.string()})["command"].get<std::string>() + "\n");
  Words command = split_words(printed.out, "test");
  command.erase(command.begin());
  command.insert(command.end(), {"--threads", "1"});
  const fs::path again = run.string() + "-again";
  const Ended end = kronbit(command);
  ASSERT_EQ(end.code, 0) << end.err;
  EXPECT_EQ(essence(again), essence(run));
  EXPECT_EQ(first_line(again)["settings"], first_line(run)["settings"]);
  EXPECT_THAT(file_text(run / "report.html"), HasSubstr("kronbit search --net resnet20 "));
}

TEST(MadeBy, IsInTheJournalTheStatusAndTheReport) {
  const fs::path run = fresh("made_by");
  fs::copy(unbroken_search(), run, fs::copy_options::recursive);
  const Json info = kronbit_json({"info", "--threads", "1"});
  const auto makers = [&] { return kronbit_json({"status", run.string()})["made_by"]; };
  ASSERT_EQ(makers().size(), 1u);
  const Json by = makers()[0];
  EXPECT_EQ(by, first_line(run)["made_by"]);
  for (const char* key : {"version", "commit", "cpu", "threads"}) EXPECT_EQ(by[key], info[key]) << key;
  EXPECT_EQ(by["compiler"], "g++ " + info["compiler"].get<std::string>());

  const Ended version = kronbit({"--version"});
  EXPECT_TRUE(version.out.starts_with(info["version"].get<std::string>() + "\n")) << version.out;
  EXPECT_THAT(version.out, HasSubstr("commit    " + info["commit"].get<std::string>() + "\n"));

  ASSERT_EQ(kronbit({"search", "--resume", "--out", run.string(), "--threads", "2"}).code, 0);
  ASSERT_EQ(makers().size(), 2u);
  EXPECT_EQ(makers()[1]["threads"], 2);
  for (const std::string& text : {kronbit({"status", run.string()}).out, file_text(run / "report.html")}) {
    EXPECT_THAT(text, HasSubstr("kronbit " + info["version"].get<std::string>() + " (" +
                                info["commit"].get<std::string>() + ", g++ "));
    EXPECT_THAT(text, HasSubstr(", 2 threads"));
  }
}

TEST(MadeBy, OfATrainingToo) {
  const fs::path run = fresh("training_made_by");
  const Words train = {"train", "--net",     "toy10", "--data",   "synthetic:200", "--epochs",
                       "0",     "--threads", "1",     "--resume", "--out",         run.string()};
  for (int times = 0; times < 2; ++times) ASSERT_EQ(kronbit(train).code, 0);
  ASSERT_EQ(kronbit(with_flag(train, "--threads", "2")).code, 0);
  const Json makers = kronbit_json({"status", run.string()})["made_by"];
  ASSERT_EQ(makers.size(), 2u);
  EXPECT_EQ(makers[0], first_line(run)["made_by"]);
  refused({"status", run.string(), "--command"}, "that of a training");
  refused({"search", "--resume", "--out", run.string()}, "that of a training");
}

}  // namespace
}  // namespace kronbit::app
