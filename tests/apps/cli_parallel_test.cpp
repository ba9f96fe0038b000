// Evaluations as processes of their own, many at a time, here and through launchers: killed, hung, refused or left
// behind, the journal is the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <thread>

#include "search/journal.h"
#include "tensor/cpu.h"
#include "tensor/rng.h"
#include "tests/apps/processes.h"
#include "tests/apps/program.h"

namespace kronbit::app {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

void pause(int milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); }

std::vector<Json> lines_of(const fs::path& run, const std::string& event) {
  std::vector<Json> found;
  for (const Json& line : search::read_journal(run).lines) {
    if (line["event"] == event) found.push_back(line);
  }
  return found;
}

void expect_same_journal(const fs::path& run, const Ended& end) {
  ASSERT_EQ(end.code, 0) << end.err;
  EXPECT_EQ(essence(run), essence(unbroken_search()));
  EXPECT_THAT(temporaries(run), IsEmpty());
}

/// Harms one evaluation after another, but none that it may be the third time for: then its candidate would be given
/// up. So there is at most one between two journalled evaluations. harm() is false when there is nothing to harm just
/// now. Returns: how many.
template <class Harm>
int disturb(Program& program, const fs::path& run, int most, Harm&& harm) {
  Rng rng(71, Purpose::Test);
  int done = 0;
  size_t evaluations = 0;
  while (done < most && program.running()) {
    pause(5 + static_cast<int>(rng.below(200)));
    const size_t now = fs::exists(run / search::kJournalName) ? lines_of(run, "evaluation").size() : 0;
    if ((done > 0 && now <= evaluations) || !harm()) continue;
    evaluations = now;
    ++done;
  }
  return done;
}

/// Sends a signal to one of the program's evaluations.
auto signal_one(const Program& program, int number) {
  return [&program, number, rng = Rng(72, Purpose::Test)]() mutable {
    const std::vector<pid_t> victims = evaluations_of(program.pid());
    return !victims.empty() && kill(victims[rng.below(victims.size())], number) == 0;
  };
}

/// Runs searches whose evaluations are sent signals until one is hit: a signal may come when a result is written
/// already. Every journal has to be that of an unbroken search. Returns: the journalled failures.
std::vector<Json> failures_by_signal(const Words& how, int number, int most) {
  for (int attempt = 0; attempt < 5; ++attempt) {
    const fs::path run = fresh("disturbed");
    Program program(search_arguments(run, how));
    disturb(program, run, most, signal_one(program, number));
    expect_same_journal(run, program.wait());
    if (std::vector<Json> failed = lines_of(run, "failed"); !failed.empty()) return failed;
  }
  ADD_FAILURE() << "no evaluation was hit";
  return {};
}

TEST(Workers, OneTwoOrFourWriteTheSameJournal) {
  for (const char* workers : {"2", "4"}) {
    const fs::path run = fresh("workers");
    expect_same_journal(run, kronbit(search_arguments(run, {"--workers", workers})));
    EXPECT_THAT(lines_of(run, "failed"), IsEmpty());
  }
}

TEST(Workers, KilledAtRandomWriteTheSameJournal) {
  for (const char* workers : {"1", "2", "4"}) {
    for (const Json& line : failures_by_signal({"--workers", workers}, SIGKILL, 5)) {
      EXPECT_THAT(line["reason"].get<std::string>(), HasSubstr("signal 9"));
      EXPECT_EQ(line["fault"], "worker");
    }
  }
}

TEST(Workers, HungAreKilledAtTheirDeadline) {
  const std::vector<Json> failed = failures_by_signal({"--workers", "2", "--deadline", "15s"}, SIGSTOP, 1);
  ASSERT_FALSE(failed.empty());
  EXPECT_EQ(failed[0]["reason"], "no result after 15 s, the deadline");
}

/// A script that starts what it is given, not in its own place.
std::string wrapper() {
  const fs::path script = scratch() / "with a blank.sh";
  write_file(script, "#!/bin/sh\necho starting\n\"$@\"\ncode=$?\necho ended\nexit $code\n");
  fs::permissions(script, fs::perms::owner_all);
  return "'" + script.string() + "'";
}

TEST(Workers, EndWithTheirExplorer) {
  for (const Words& how : {Words{}, Words{"--launch", wrapper()}}) {
    Words more = {"--workers", "2"};
    more.insert(more.end(), how.begin(), how.end());
    const fs::path run = fresh("orphans");
    Program program(search_arguments(run, more));
    // One look has to see them all: an evaluation may end between two.
    const size_t wanted = how.empty() ? 2 : 4;
    std::vector<pid_t> processes;
    while (program.running() && processes.size() < wanted) {
      pause(2);
      processes = descendants_of(program.pid());
    }
    ASSERT_GE(processes.size(), wanted);
    program.signal(SIGKILL);
    EXPECT_EQ(program.wait().signal, SIGKILL);
    EXPECT_THAT(wait_for_the_end_of(processes), IsEmpty());
    more.push_back("--resume");
    expect_same_journal(run, kronbit(search_arguments(run, more)));
  }
}

/// Every evaluation is refused: exit code 1, one line; and elsewhere the run goes on as if nothing had been.
void expect_refused(const std::string& launch, const Words& reasons) {
  const fs::path run = fresh("refused");
  const Ended end = kronbit(search_arguments(run, {"--workers", "2", "--quiet", "--launch", launch}));
  EXPECT_EQ(end.code, 1) << end.err;
  EXPECT_EQ(end.error_lines(), 1) << end.err;
  EXPECT_THAT(end.err, StartsWith("kronbit: [search] attempt 3 of an evaluation was refused: worker "));
  const std::vector<Json> failed = lines_of(run, "failed");
  ASSERT_EQ(failed.size(), 2u);
  for (const std::string& reason : reasons) {
    EXPECT_THAT(end.err, HasSubstr(reason));
    for (const Json& line : failed) EXPECT_THAT(line["reason"].get<std::string>(), HasSubstr(reason));
  }
  EXPECT_EQ(failed[0]["fault"], "refused");
  expect_same_journal(run, kronbit(search_arguments(run, {"--resume"})));
}

TEST(Workers, ThatLackTheKernelsAreRefused) {
  if (isa_level() == Isa::Baseline) GTEST_SKIP() << "this processor has nothing that could be missing";
  expect_refused("env KRONBIT_ISA=baseline", {"cannot run the", "kernel", "wanted a processor with", "(baseline)"});
}

TEST(Workers, WithAnotherProgramAreRefused) {
  const fs::path other = scratch() / "other";
  write_file(other, file_text(KRONBIT_BINARY_DIR "/kronbit") + "x");
  fs::permissions(other, fs::perms::owner_all);
  expect_refused("sh -c '\"$0\" evaluate' " + other.string(), {"has another program: wanted kronbit ", "crc32:"});
}

TEST(Workers, UseTheKernelsThatTheRunBeganWith) {
  if (isa_level() <= Isa::Avx2) GTEST_SKIP() << "this processor has no kernels above avx2";
  Surroundings lesser;
  lesser.environment["KRONBIT_ISA"] = "avx2";
  const fs::path whole = fresh("lesser"), broken = fresh("moved");
  ASSERT_EQ(kronbit(search_arguments(whole), lesser).code, 0);
  {
    Program program(search_arguments(broken), lesser);
    ASSERT_TRUE(program.wait_for_lines(broken / search::kJournalName, 4));
    program.signal(SIGKILL);
  }
  const Words resume = search_arguments(broken, {"--resume"});
  ASSERT_EQ(kronbit(resume).code, 0);
  EXPECT_EQ(essence(broken), essence(whole));
  const Ended other = kronbit(with_flag(resume, "--kernel", "reference"));
  EXPECT_EQ(other.code, 2);
  EXPECT_THAT(other.err, HasSubstr("numerics.f32: \"avx2\" in the run, \"reference\" now"));
}

TEST(Launched, ByMpirun) {
  if (!installed("mpirun")) GTEST_SKIP() << "mpirun is not installed (Debian: openmpi-bin)";
  const Words mpirun = {"--workers", "2", "--launch", "mpirun -n 1 --allow-run-as-root --bind-to none"};
  const fs::path run = fresh("mpirun");
  {
    Program program(search_arguments(run, mpirun));
    ASSERT_EQ(disturb(program, run, 1, signal_one(program, SIGKILL)), 1);
    ASSERT_TRUE(program.wait_for_lines(run / search::kJournalName, 6));
    while (program.running() && evaluations_of(program.pid()).empty()) pause(2);
    const std::vector<pid_t> processes = descendants_of(program.pid());
    program.signal(SIGKILL);
    program.wait();
    EXPECT_THAT(wait_for_the_end_of(processes), IsEmpty());
  }
  Words resume = mpirun;
  resume.push_back("--resume");
  expect_same_journal(run, kronbit(search_arguments(run, resume)));
  const std::vector<Json> failed = lines_of(run, "failed");
  ASSERT_FALSE(failed.empty());
  EXPECT_THAT(failed[0]["reason"].get<std::string>(), HasSubstr("signal 9"));
}

/// A Slurm of this test, by tests/slurm/start.sh.
class Slurm {
 public:
  Slurm() : folder_(fs::temp_directory_path() / ("kronbit-slurm-" + std::to_string(getpid()))) {
    const std::string said = output_of(script() + " '" + folder_.string() + "' 2>&1");
    std::string_view name = "SLURM_CONF=";
    const size_t found = said.rfind(name);
    if (found == std::string::npos) {
      problem = said.empty() ? "it does not start" : said;
    } else {
      configuration = said.substr(found + name.size());
    }
  }
  ~Slurm() {
    output_of(script() + " stop '" + folder_.string() + "'");
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  std::string ask(const std::string& command) const {
    return output_of("SLURM_CONF='" + configuration + "' " + command + " 2>&1");
  }
  std::string problem, configuration;

 private:
  static std::string script() { return "sh " KRONBIT_SOURCE_DIR "/tests/slurm/start.sh"; }
  fs::path folder_;
};

TEST(Launched, BySlurm) {
  const Slurm slurm;
  if (!slurm.problem.empty()) GTEST_SKIP() << slurm.problem;
  Surroundings cluster;
  cluster.environment["SLURM_CONF"] = slurm.configuration;
  const Words srun = {"--workers", "2", "--launch", "srun --exclusive -N1 -n1"};
  const fs::path run = fresh("slurm");
  {
    Program program(search_arguments(run, srun), cluster);
    const auto cancel = [&] {
      const std::string job = slurm.ask("squeue -h -t R -o %i | head -n 1");
      return !job.empty() && slurm.ask("scancel " + job).empty();
    };
    ASSERT_EQ(disturb(program, run, 2, cancel), 2);
    ASSERT_TRUE(program.wait_for_lines(run / search::kJournalName, 8));
    while (program.running() && slurm.ask("squeue -h -t R -o %i").empty()) pause(20);
    program.signal(SIGKILL);
    program.wait();
    for (int i = 0; i < 300 && !slurm.ask("squeue -h -o %i").empty(); ++i) pause(100);
    EXPECT_EQ(slurm.ask("squeue -h -o %i"), "");
  }
  Words resume = srun;
  resume.push_back("--resume");
  expect_same_journal(run, kronbit(search_arguments(run, resume), cluster));
  const std::vector<Json> failed = lines_of(run, "failed");
  ASSERT_FALSE(failed.empty());
  for (const Json& line : failed) {
    EXPECT_EQ(line["fault"], "worker");
    // Who says it first, and how, is for Slurm to decide: the end of the step, or one of srun's own lines on it
    // ("srun: error: n1: task 0: Terminated", "srun: Job step aborted").
    EXPECT_THAT(line["reason"].get<std::string>(),
                AnyOf("the evaluation was stopped by signal 15", StartsWith("srun: ")));
  }
}

TEST(Launched, ByNothingIsRefusedAtOnce) {
  const fs::path run = fresh("by_nothing");
  for (const char* launch : {"", " ", "''", "nosuchprogram -n 1", "/nowhere/srun"})
    refused(search_arguments(run, {"--launch", launch}), "--launch");
  EXPECT_FALSE(fs::exists(run));
}

TEST(Launched, PathsThatNoJobCouldTellAreRefused) {
  const fs::path run = fresh("bad\xff");
  refused(search_arguments(run), "--out] wanted a path in UTF-8");
  refused(with_flag(search_arguments(fresh("good")), "--weights", run.string()), "--weights] wanted a path in UTF-8");
  refused(with_flag(search_arguments(fresh("good")), "--data", run.string()), "--data] wanted a path in UTF-8");
  EXPECT_FALSE(fs::exists(run));
}

}  // namespace
}  // namespace kronbit::app
