// Launchers that print, hang, lie and die, played by small scripts: what the pool makes of them.
#include "apps/kronbit/workers/job_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "apps/kronbit/evaluation/protocol.h"
#include "apps/kronbit/search/settings.h"
#include "apps/kronbit/workers/child.h"
#include "apps/kronbit/workers/words.h"
#include "tests/apps/processes.h"
#include "tests/apps/program.h"

namespace kronbit::app {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string kBegin = R"(printf '\nkronbit-begins {"host":"node7","pid":1}\n'; )";
const std::string kGood = R"(printf '\nkronbit-result {"result":{"accuracies":[0.5]}}\n'; )";

Job tiny_job() {
  Job job;
  job.layers = {4};
  job.epochs = {0};
  return job;
}

PoolOptions options_for(const std::string& script, const std::string& deadline = "0", int workers = 1) {
  PoolOptions options;
  options.workers = workers;
  options.launch = {"sh", "-c", "read -r job; " + script};
  options.deadlines = Deadlines::parse(deadline);
  return options;
}

JobPool::Outcome outcome_of(const std::string& script, const std::string& deadline = "0") {
  JobPool pool(options_for(script, deadline));
  pool.submit(tiny_job(), 7);
  const std::optional<JobPool::Outcome> outcome = pool.wait(60);
  EXPECT_TRUE(outcome.has_value()) << script;
  return outcome.value_or(JobPool::Outcome{});
}

TEST(JobPool, KnowsTheLargestPeakOfMemory) {
  JobPool pool(options_for(kBegin + "peak=$(cat " + (scratch() / "peak").string() + "); " +
                           R"(printf '\nkronbit-result {"result":{"accuracies":[0.5],"peak_bytes":%s}}\n' $peak)"));
  for (const char* peak : {"2000", "3000", "1000"}) {
    write_file(scratch() / "peak", peak);
    pool.submit(tiny_job(), 1);
    const std::optional<JobPool::Outcome> outcome = pool.wait(60);
    ASSERT_TRUE(outcome && outcome->ok);
  }
  EXPECT_EQ(pool.peak_bytes(), 3000);
}

TEST(JobPool, FindsTheResultInWhateverALauncherPrints) {
  const JobPool::Outcome plain = outcome_of(kBegin + kGood);
  EXPECT_TRUE(plain.ok) << plain.reason;
  EXPECT_EQ(plain.tag, 7);
  EXPECT_EQ(plain.worker, "0 node7");
  EXPECT_EQ(plain.result["accuracies"][0], 0.5);
  const std::string noisy[] = {
      "echo Welcome to node7; printf 'no line end'; " + kBegin + kGood + "echo bye; exit 3",
      "printf '[1,0]<stdout>:kronbit-begins {\"host\":\"a\"}\\r\\n[1,0]<stdout>:kronbit-result "
      "{\"result\":{\"accuracies\":[0.5]}}\\r\\n'; kill -9 $$",
      "printf '{\"accuracies\":[0.1]}\\n'; yes noise | head -c 3000000; " + kBegin + kGood};
  for (const std::string& script : noisy) {
    const JobPool::Outcome outcome = outcome_of(script);
    EXPECT_TRUE(outcome.ok) << script << outcome.reason;
    EXPECT_EQ(outcome.result["accuracies"][0], 0.5) << script;
  }
}

TEST(JobPool, SaysWhyThereIsNoResult) {
  const std::pair<std::string, std::string> cases[] = {
      {"exit 3", "exit code 3"},
      {"exit 0", "without a result"},
      {"kill -9 $$", "signal 9"},
      {"echo one >&2; echo two >&2; echo ---- >&2; exit 1", "two"},
      {"printf 'kronbit-result {\"result\":{\"accuracies\":[0.'; echo cut short >&2; exit 1", "cut short"},
      {"printf '\\nkronbit-result {\"fault\":\"worker\",\"reason\":\"no such file\"}\\n'; echo srun: error >&2; exit 1",
       "no such file"}};
  for (const auto& [script, reason] : cases) {
    const JobPool::Outcome outcome = outcome_of(script);
    EXPECT_FALSE(outcome.ok) << script;
    EXPECT_EQ(outcome.fault, search::Fault::Worker) << script;
    EXPECT_THAT(outcome.reason, HasSubstr(reason)) << script;
    EXPECT_EQ(outcome.reason.find('\n'), std::string::npos);
  }
  EXPECT_EQ(outcome_of("printf '\\nkronbit-result {\"fault\":\"refused\",\"reason\":\"r\"}\\n'; exit 1").fault,
            search::Fault::Refused);
  EXPECT_EQ(outcome_of("printf '\\nkronbit-result {\"fault\":\"training\",\"reason\":\"r\"}\\n'; exit 1").fault,
            search::Fault::Training);
  const JobPool::Outcome damaged = outcome_of(
      "printf '\\nkronbit-result {\"fault\":\"input\",\"reason\":\"r\",\"picture\":\"val/a/1.png\",\"bytes\":7}\\n'; "
      "exit 2");
  EXPECT_EQ(damaged.fault, search::Fault::Input);
  EXPECT_EQ(damaged.result, Json({{"picture", "val/a/1.png"}, {"bytes", 7}}));
  PoolOptions missing;
  missing.launch = {"/nowhere/srun"};
  JobPool pool(missing);
  EXPECT_THROW(pool.submit(tiny_job(), 0), Error);
}

TEST(JobPool, EndsWhatIsPastItsDeadlineWithAllItsProcesses) {
  const fs::path pids = fresh("pids");
  const JobPool::Outcome hung = outcome_of(
      "trap '' TERM; " + kBegin + "sleep 1000 & echo $$ $! > " + pids.string() + "; wait; sleep 1000", "0.5s");
  EXPECT_FALSE(hung.ok);
  EXPECT_THAT(hung.reason, HasSubstr("no result after 0.5 s, the deadline"));
  std::istringstream text(file_text(pids));
  std::vector<pid_t> processes(2);
  text >> processes[0] >> processes[1];
  ASSERT_GT(processes[1], 0);
  EXPECT_THAT(wait_for_the_end_of(processes), IsEmpty());
}

TEST(JobPool, DoesNotCountTheTimeInAQueue) {
  const JobPool::Outcome outcome = outcome_of("sleep 1.5; " + kBegin + kGood, "1s");
  EXPECT_TRUE(outcome.ok) << outcome.reason;
  EXPECT_LT(outcome.seconds, 1.0);
}

TEST(JobPool, DoesNotWaitForWhatALauncherLeavesBehind) {
  const fs::path pid = fresh("left");
  EXPECT_TRUE(outcome_of(kBegin + kGood + "sleep 1000 & echo $! > " + pid.string()).ok);
  const pid_t left = std::stoi(file_text(pid));
  EXPECT_TRUE(lives(left));
  kill(left, SIGKILL);
}

TEST(JobPool, ClosesStdinWhenItEnds) {
  const fs::path end = fresh("stdin_ended");
  {
    JobPool pool(options_for("trap '' TERM; " + kBegin + "cat; echo ended > " + end.string()));
    pool.submit(tiny_job(), 0);
    EXPECT_FALSE(pool.wait(0.3).has_value());
    EXPECT_FALSE(fs::exists(end));
  }
  EXPECT_EQ(file_text(end), "ended\n");
}

TEST(JobPool, TriesAgainOnAnotherWorker) {
  // Worker 0 fails, whatever it gets.
  PoolOptions options = options_for("test $0 != w0 || exit 5; " + kBegin + kGood, "0", 3);
  options.launch.push_back("w{worker}");
  JobPool pool(options);
  std::vector<std::string> workers;
  for (int i = 0; i < 4; ++i) {
    pool.submit(tiny_job(), i);
    workers.push_back(pool.wait(60)->worker);
  }
  EXPECT_THAT(workers, ElementsAre("0", "1 node7", "1 node7", "1 node7"));
}

TEST(Words, AreThoseOfAShell) {
  EXPECT_THAT(split_words(" srun  -N1\t-n1 ", "t"), ElementsAre("srun", "-N1", "-n1"));
  EXPECT_THAT(split_words(R"(a 'b c' "d 'e'" f\ g '' "" h"i j"'k')", "t"),
              ElementsAre("a", "b c", "d 'e'", "f g", "", "", "hi jk"));
  EXPECT_THAT(split_words(R"("a\"b" "a\nb" 'a\b' $HOME *)", "t"), ElementsAre("a\"b", "a\\nb", "a\\b", "$HOME", "*"));
  EXPECT_THAT(split_words("", "t"), IsEmpty());
  for (const char* text : {"a 'b", "a \"b", "a\\"}) EXPECT_THROW(split_words(text, "t"), InputError) << text;
}

TEST(Deadlines, AreTenTimesWhatIsExpected) {
  Deadlines d = Deadlines::parse("auto");
  EXPECT_FALSE(d.of(4).has_value());  // nothing is known
  d.learn(4, 30);
  d.learn(4, 34);
  EXPECT_EQ(d.of(4)->seconds, 320);
  EXPECT_EQ(d.of(4)->reason(), "no result after 320 s, 10 times the expected 32 s");
  EXPECT_EQ(d.of(0)->seconds, 60);  // the least
  EXPECT_THAT(d.of(0)->reason(), HasSubstr("no result after 60 s"));
  EXPECT_NEAR(d.of(8)->seconds, 10 * 32 * 8.1 / 4.1, 1e-9);
  d.learn(0, 10);  // what starting takes is not multiplied away
  EXPECT_EQ(d.of(0)->seconds, 100);
  EXPECT_NEAR(d.of(1)->seconds, 10 * 10 * 1.1 / 0.1, 1e-9);
  EXPECT_EQ(d.of(4)->seconds, 320);
  for (const char* none : {"0", "off"}) {
    Deadlines off = Deadlines::parse(none);
    off.learn(4, 30);
    EXPECT_FALSE(off.of(4).has_value());
  }
  EXPECT_EQ(Deadlines::parse("10min").of(4)->seconds, 600);
  for (const char* bad : {"", "10", "-1s", "never"}) EXPECT_THROW(Deadlines::parse(bad), InputError) << bad;
}

TEST(JobOf, AnAutomaticKernelForcesNone) {
  Frame frame;
  frame.kernel = "auto";
  EXPECT_EQ(job_of({}, frame, 1).kernel, "");  // the search's own kernels decide
  frame.kernel = "avx2";
  EXPECT_EQ(job_of({}, frame, 1).kernel, "avx2");
}

TEST(Child, HasNoTerminalToAsk) {
  // The numbers of the process and of its session, the first and the sixth word of its status.
  Child child("sh",
              {"sh", "-c", "read -r pid name state parent group session rest </proc/$$/stat; echo $pid $session"});
  while (!child.ended()) ::poll(nullptr, 0, 1);
  const std::vector<std::string> numbers = split_words(child.output(), "test");
  ASSERT_EQ(numbers.size(), 2u) << child.output() << child.errors();
  EXPECT_EQ(numbers[0], numbers[1]);
}

TEST(Words, NameAProgram) {
  for (const char* there : {"sh", "/bin/sh"}) EXPECT_TRUE(is_program(there)) << there;
  for (const char* missing : {"", "nosuchprogram", "/nowhere/srun", "/", "/etc", "/etc/passwd"})
    EXPECT_FALSE(is_program(missing)) << missing;
}

}  // namespace
}  // namespace kronbit::app
