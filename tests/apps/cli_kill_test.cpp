// Killed, stopped, short of disk or run twice: the real program loses nothing and goes on as if nothing had been.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "quant/bits_file.h"
#include "quant/packed.h"
#include "search/journal.h"
#include "tensor/io/crc32.h"
#include "tensor/rng.h"
#include "tests/apps/program.h"

namespace kronbit::app {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr double kPromptly =
    30;  // seconds to stop in: far less than going on to the end takes, whatever else runs here

int lines_of(const fs::path& run) { return static_cast<int>(search::read_journal(run).lines.size()); }

/// What a finished search leaves: nothing half written, a report, and a packed network whose bits best/ names.
void expect_whole(const fs::path& run) {
  EXPECT_THAT(temporaries(run), IsEmpty());
  EXPECT_THAT(file_text(run / "report.html"), HasSubstr("</html>"));
  const quant::PackedNetwork best = quant::PackedNetwork::load(run / "best" / "model.safetensors");
  EXPECT_EQ(quant::read_bits_file(run / "best" / "bits.json", best.network()).bits, best.bits());
}

/// Starts the search again and again, killing it some lines later each time, until `kills` have landed, one of them at
/// least when there was something to lose; then lets it end.
void kill_and_resume(const fs::path& run, const Words& more, int kills, uint64_t seed) {
  Rng rng(seed, Purpose::Test);
  const std::string want = essence(unbroken_search());
  Words with_resume = more;
  with_resume.push_back("--resume");
  int landed = 0, ended = 0, in_the_middle = 0;
  while (landed < kills || in_the_middle == 0) {
    const int lines = fs::exists(run) ? lines_of(run) : 0;
    Program program(search_arguments(run, with_resume));
    program.wait_for_lines(run / search::kJournalName, lines + 1 + static_cast<int>(rng.below(2)));
    program.run_for(program.seconds() + rng.uniform(0, 0.2));
    program.signal(SIGKILL);
    const Ended end = program.wait();
    if (end.signal == SIGKILL) {
      ++landed;
      in_the_middle += lines_of(run) > 2;  // more than the settings and a plan
      continue;
    }
    ASSERT_EQ(end.code, 0) << end.err;
    ASSERT_LT(++ended, 20);
    EXPECT_EQ(essence(run), want);
    expect_whole(run);
    fs::remove_all(run);
  }
  const Ended end = kronbit(search_arguments(run, with_resume));
  ASSERT_EQ(end.code, 0) << end.err;
  EXPECT_EQ(essence(run), want);
  expect_whole(run);
}

TEST(Killed, TenTimesASearchEndsAsUnbroken) { kill_and_resume(fresh("killed"), {}, 10, 51); }

TEST(Killed, WithTwoWorkersASearchEndsAsUnbroken) { kill_and_resume(fresh("workers"), {"--workers", "2"}, 3, 52); }

TEST(Search, IsTheSameWithMoreThreads) {
  const fs::path run = fresh("threads");
  const Ended end = kronbit(with_flag(search_arguments(run), "--threads", "2"));
  ASSERT_EQ(end.code, 0) << end.err;
  EXPECT_EQ(essence(run), essence(unbroken_search()));
}

TEST(Search, StopsPromptlyAndGoesOn) {
  const fs::path run = fresh("stopped");
  int lines = 3;
  for (const int number : {SIGINT, SIGTERM, SIGUSR1}) {
    Program program(search_arguments(run, {"--resume"}));
    ASSERT_TRUE(program.wait_for_lines(run / search::kJournalName, lines));
    const double before = program.seconds();
    program.signal(number);
    const Ended end = program.wait();
    EXPECT_EQ(end.code, number == SIGINT ? 130 : 143) << end.err;
    EXPECT_LT(end.seconds - before, kPromptly);
    EXPECT_THAT(end.err, HasSubstr("--resume"));
    EXPECT_THAT(file_text(run / "report.html"), HasSubstr("</html>"));
    lines = lines_of(run) + 2;
  }
  ASSERT_EQ(kronbit(search_arguments(run, {"--resume"})).code, 0);
  EXPECT_EQ(essence(run), essence(unbroken_search()));
  expect_whole(run);
}

/// A limit that is over before there is work to begin: later ones are tested with the explorer.
const Words kNoTime{"--time-limit", "0.001s"};

void expect_out_of_time(const Words& arguments) {
  const Ended end = kronbit(arguments);
  EXPECT_EQ(end.code, 143) << end.err;
  EXPECT_THAT(end.err, HasSubstr("stopped by --time-limit"));
  EXPECT_THAT(end.err, HasSubstr("--resume"));
}

TEST(Search, OutOfTimeBeginsNothingAndGoesOn) {
  const fs::path run = fresh("out_of_time");
  const auto without_finals = [&](const Words& more) {
    return with_flag(search_arguments(run, more), "--final-top", "0");
  };
  expect_out_of_time(search_arguments(run, kNoTime));
  EXPECT_EQ(lines_of(run), 1);  // the settings
  EXPECT_THAT(file_text(run / "report.html"), HasSubstr("</html>"));
  ASSERT_EQ(kronbit(without_finals({"--resume", "--time-limit", "1d"})).code, 0);
  const int searched = lines_of(run);
  Words resume = kNoTime;
  resume.push_back("--resume");
  expect_out_of_time(search_arguments(run, resume));  // before the final trainings
  EXPECT_EQ(lines_of(run), searched + 1);  // the note of other final trainings
  ASSERT_EQ(kronbit(search_arguments(run, {"--resume"})).code, 0);
  EXPECT_EQ(essence(run), essence(unbroken_search()));
  expect_whole(run);
}

TEST(Search, RefusesASecondWriterAnotherSettingAndAnExistingRun) {
  const fs::path run = fresh("locked");
  Program first(search_arguments(run));
  ASSERT_TRUE(first.wait_for_lines(run / search::kJournalName, 3));
  first.signal(SIGSTOP);
  const std::string journal = file_text(run / search::kJournalName);
  const auto refused = [&](const Words& arguments, const Words& reasons) {
    const Ended end = kronbit(arguments);
    EXPECT_EQ(end.code, 2) << end.err;
    EXPECT_EQ(end.error_lines(), 1) << end.err;
    for (const std::string& reason : reasons) EXPECT_THAT(end.err, HasSubstr(reason));
    EXPECT_EQ(file_text(run / search::kJournalName), journal);
  };
  const Words resume = search_arguments(run, {"--resume"});
  refused(resume, {"process"});
  EXPECT_EQ(kronbit_json({"status", run.string()})["kind"], "search");
  // A killed owner leaves no lock behind.
  first.signal(SIGKILL);
  EXPECT_EQ(first.wait().signal, SIGKILL);
  refused(search_arguments(run), {"--resume"});
  refused(with_flag(with_flag(resume, "--lr", "0.007"), "--seed", "9"), {"lr", "0.005", "0.007", "seed"});
  refused(with_flag(resume, "--validation", "train:21"), {"validation", "train:20", "train:21"});
  EXPECT_EQ(kronbit(search_arguments(run, {"--resume"})).code, 0);
  EXPECT_EQ(essence(run), essence(unbroken_search()));
}

TEST(Search, OnAFullDiskKeepsWhatItHas) {
  const fs::path run = fresh("full");
  {
    Program program(search_arguments(run));
    ASSERT_TRUE(program.wait_for_lines(run / search::kJournalName, 4));
    program.signal(SIGKILL);
  }
  const std::string before = file_text(run / search::kJournalName);
  // No line fits any more.
  Surroundings full;
  full.most_file_bytes = static_cast<int64_t>(before.size()) + 20;
  const Ended end = kronbit(search_arguments(run, {"--resume", "--quiet"}), full);
  EXPECT_EQ(end.code, 1) << end.err;
  EXPECT_THAT(end.err, HasSubstr("kronbit: "));
  EXPECT_LE(end.error_lines(), 2) << end.err;  // "going on with ..." and why not
  EXPECT_EQ(file_text(run / search::kJournalName).substr(0, before.size()), before);
  EXPECT_EQ(kronbit({"status", run.string()}).code, 0);
  EXPECT_EQ(kronbit(search_arguments(run, {"--resume"})).code, 0);
  EXPECT_EQ(essence(run), essence(unbroken_search()));
  expect_whole(run);
}

TEST(Export, OnAFullDiskKeepsTheFormerFile) {
  const fs::path model = fresh("full_export") / "model.safetensors";
  fs::create_directories(model.parent_path());
  const auto arguments = [&](const char* bits) {
    return words("export --net resnet20 --normalize cifar10 --bits",
                 {bits, "--weights", tiny_weights().string(), "--out", model.string()});
  };
  ASSERT_EQ(kronbit(arguments("4")).code, 0);
  const std::string before = file_text(model);
  Surroundings full;
  full.most_file_bytes = 20000;
  const Ended end = kronbit(arguments("5"), full);
  EXPECT_EQ(end.code, 1);
  EXPECT_EQ(end.error_lines(), 1) << end.err;
  EXPECT_EQ(end.out, "");
  EXPECT_EQ(file_text(model), before);
  EXPECT_THAT(temporaries(model.parent_path()), IsEmpty());
}

Words train_arguments(const fs::path& out, const Words& more = {}) {
  Words all = words("train --net resnet20 --epochs 3 --batch 70 --lr 0.05 --resume --out", {out.string()});
  const Words data = tiny_data();
  all.insert(all.end(), data.begin(), data.end());
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

TEST(Killed, ATrainingEndsWithTheSameWeights) {
  const fs::path whole = fresh("train_whole"), broken = fresh("train_broken");
  ASSERT_EQ(kronbit(train_arguments(whole)).code, 0);
  expect_out_of_time(train_arguments(broken, kNoTime));  // after the first step
  EXPECT_EQ(lines_of(broken), 1);                        // the settings
  EXPECT_TRUE(fs::exists(broken / "checkpoint.safetensors"));
  {
    Program program(train_arguments(broken));  // in the first epoch: the checkpoint is made where it stops
    ASSERT_TRUE(program.wait_for_lines(broken / search::kJournalName, 1));
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    const double before = program.seconds();
    program.signal(SIGUSR1);
    const Ended end = program.wait();
    ASSERT_EQ(end.code, 143) << end.err;
    EXPECT_LT(end.seconds - before, kPromptly);
    EXPECT_TRUE(fs::exists(broken / "checkpoint.safetensors"));
  }
  {
    Program program(train_arguments(broken));  // in the second epoch: back to the checkpoint
    ASSERT_TRUE(program.wait_for_lines(broken / search::kJournalName, 2));
    program.signal(SIGKILL);
    ASSERT_EQ(program.wait().signal, SIGKILL);
  }
  const Ended end = kronbit(train_arguments(broken));
  ASSERT_EQ(end.code, 0) << end.err;
  EXPECT_EQ(crc32_of_file(whole / "best/weights.safetensors"), crc32_of_file(broken / "best/weights.safetensors"));
  EXPECT_THAT(temporaries(broken), IsEmpty());
}

TEST(Killed, ATrainingTellsWhenItCannotWriteWhereItStopped) {
  const fs::path run = fresh("train_full");
  Surroundings full;
  full.most_file_bytes = 20000;  // journal lines fit, a checkpoint does not
  Program program(train_arguments(run, {"--quiet"}), full);
  ASSERT_TRUE(program.wait_for_lines(run / search::kJournalName, 1));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  program.signal(SIGINT);
  const Ended end = program.wait();
  EXPECT_EQ(end.code, 130);
  EXPECT_THAT(end.err, HasSubstr("checkpoint.safetensors"));
  EXPECT_THAT(end.err, HasSubstr("File too large"));
}

TEST(Search, OnAFullDiskGivesNoConfigurationUp) {
  const fs::path run = fresh("full_work");
  Surroundings full;
  full.most_file_bytes = 30000;  // journal lines fit, packed networks do not
  for (int attempt = 0; attempt < 2; ++attempt) {
    const Ended end = kronbit(search_arguments(run, {"--resume", "--quiet"}), full);
    EXPECT_EQ(end.code, 1) << end.err;
    EXPECT_THAT(end.err, HasSubstr("was refused: "));
    EXPECT_THAT(end.err, HasSubstr("File too large"));
  }
  EXPECT_EQ(kronbit(search_arguments(run, {"--resume"})).code, 0);
  EXPECT_EQ(essence(run), essence(unbroken_search()));
  expect_whole(run);
}

TEST(Search, UnderAParentThatIgnoresTheEndOfChildren) {
  const fs::path run = fresh("ignored");
  const Words arguments =
      with_flag(with_flag(search_arguments(run, {"--no-baselines"}), "--budget", "1evals"), "--probe", "0");
  std::signal(SIGCHLD, SIG_IGN);
  Program program(with_flag(arguments, "--final-top", "0"));
  std::signal(SIGCHLD, SIG_DFL);
  const Ended end = program.wait();
  EXPECT_EQ(end.code, 0) << end.err;
}

}  // namespace
}  // namespace kronbit::app
