#include "apps/kronbit/workers/job_pool.h"

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <csignal>
#include <cstring>
#include <regex>

#include "apps/kronbit/evaluation/protocol.h"
#include "apps/kronbit/workers/child.h"
#include "tensor/io/text.h"

namespace kronbit::app {
namespace {

constexpr double kLook = 0.1;   // seconds between looks at what no pipe tells: an end, a deadline
constexpr double kGrace = 5.0;  // seconds that a launcher gets to end its job before it is killed itself
constexpr const char* kReference = "reference.safetensors";  // the logits before quantization, beside packed networks

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// The last line that says something: launchers frame their complaints.
std::string last_line(const std::string& text) {
  std::string found;
  for (const Line& line : split_lines(text)) {
    if (std::any_of(line.text.begin(), line.text.end(), [](unsigned char c) { return std::isalpha(c) != 0; }))
      found = line.text;
  }
  return found;
}

/// Why a process gave no result.
std::string reason_of(int status, const std::string& errors) {
  if (WIFSIGNALED(status))
    return fmt::format("the evaluation was killed by signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
  const std::string line = last_line(errors);
  if (!line.empty()) return printable(line);
  return WEXITSTATUS(status) != 0 ? fmt::format("the evaluation ended with exit code {}", WEXITSTATUS(status))
                                  : "the evaluation ended without a result";
}

}  // namespace

struct JobPool::Running {
  Running(const std::vector<std::string>& command, bool here)
      : child(here ? "/proc/self/exe" : command.front(), command) {}
  Child child;
  int64_t tag = 0;
  int worker = 0;
  std::string host;
  std::optional<double> began, killed;  // when
  double epochs = 0;
  std::optional<Deadlines::Limit> limit;  // counted from `began`
};

JobPool::JobPool(PoolOptions options)
    : options_(std::move(options)), last_failure_(static_cast<size_t>(options_.workers), 0) {
  if (!here()) program_ = program_identity();
}

JobPool::~JobPool() { kill_all(); }

int JobPool::choose_worker() const {
  int best = -1;
  for (int w = 0; w < workers(); ++w) {
    if (std::any_of(children_.begin(), children_.end(), [&](const auto& c) { return c->worker == w; })) continue;
    if (best < 0 || last_failure_[static_cast<size_t>(w)] < last_failure_[static_cast<size_t>(best)]) best = w;
  }
  return best;
}

std::vector<std::string> JobPool::command(int worker) const {
  // Here the child runs this very program, even if its file was replaced meanwhile; elsewhere only a path is known.
  if (here()) return {"kronbit", "evaluate"};
  constexpr std::string_view kWorker = "{worker}", kDeleted = " (deleted)";
  std::vector<std::string> words = options_.launch;
  for (std::string& word : words) {
    for (size_t at = word.find(kWorker); at != std::string::npos; at = word.find(kWorker, at))
      word.replace(at, kWorker.size(), std::to_string(worker));
  }
  std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
  if (program.ends_with(kDeleted)) program.resize(program.size() - kDeleted.size());
  words.insert(words.end(), {program, "evaluate"});
  return words;
}

void JobPool::submit(Job job, int64_t tag) {
  KB_CHECK(running() < workers());
  const int worker = choose_worker();
  job.parent = here() ? getpid() : 0;
  Json line = to_json(job);
  const std::string folder = here() ? "" : std::filesystem::current_path().string();
  line["attended"] = to_json(Attendance{program_, options_.numerics, folder});
  auto run = std::make_unique<Running>(command(worker), here());
  run->tag = tag;
  run->worker = worker;
  run->epochs = job.epochs.back();
  if (here()) run->began = now();  // elsewhere it may have to wait in a queue
  run->child.write(dump_line(line) + "\n");
  children_.push_back(std::move(run));
}

/// Notes that a job has begun, and sees to its deadline.
void JobPool::look_at(Running& job) const {
  if (!job.began || job.host.empty()) {
    if (const std::optional<Json> begins = find_marked(kBegins, job.child.output())) {
      job.host = begins->value("host", "unnamed");
      if (!job.began) job.began = now();
    }
  }
  if (job.killed) {
    if (now() - *job.killed > kGrace) job.child.signal(SIGKILL);
    return;
  }
  if (!job.began) return;
  job.limit = options_.deadlines.of(job.epochs);
  if (job.limit && now() - *job.began > job.limit->seconds) kill(job);
}

void JobPool::kill(Running& job) const {
  job.killed = now();
  job.child.close_input();
  job.child.signal(here() ? SIGKILL : SIGTERM);
}

std::optional<JobPool::Outcome> JobPool::wait(double seconds) {
  const double until = now() + seconds;
  while (!children_.empty()) {
    for (size_t i = 0; i < children_.size(); ++i) {
      Running& job = *children_[i];
      const bool ended = job.child.ended();
      look_at(job);
      if (!ended) continue;
      const std::unique_ptr<Running> last = std::move(children_[i]);
      children_.erase(children_.begin() + static_cast<std::ptrdiff_t>(i));
      return finish(*last);
    }
    const double left = until - now();
    if (left <= 0) return std::nullopt;
    std::vector<pollfd> polled;
    for (const auto& job : children_) job->child.add_polled(polled);
    const bool closed = polled.size() < 2 * children_.size();  // about to end
    const double pause = std::min(left, closed ? 0.001 : kLook);
    if (::poll(polled.data(), polled.size(), static_cast<int>(pause * 1000) + 1) < 0 && errno != EINTR)
      throw Error(fmt::format("[evaluate] poll: {}", std::strerror(errno)));
  }
  return std::nullopt;
}

JobPool::Outcome JobPool::finish(Running& job) {
  Outcome outcome;
  outcome.tag = job.tag;
  outcome.worker = job.host.empty() || here() ? fmt::format("{}", job.worker)
                                              : fmt::format("{} {}", job.worker, printable(job.host));
  if (job.began) outcome.seconds = now() - *job.began;
  // A whole result counts, however the launcher ends.
  const std::optional<Json> said = find_marked(kResult, job.child.output());
  if (said && has(*said, "result")) {
    outcome.ok = true;
    outcome.result = (*said)["result"];
    if (has(outcome.result, "peak_bytes"))
      peak_bytes_ = std::max(peak_bytes_, get_int(outcome.result, "peak_bytes", 0, INT64_MAX, "evaluate"));
    options_.deadlines.learn(job.epochs, outcome.seconds);
    return outcome;
  }
  last_failure_[static_cast<size_t>(job.worker)] = ++failures_;
  if (job.killed) {
    outcome.reason = job.limit->reason();
  } else if (said && has(*said, "fault") && has(*said, "reason")) {
    outcome.fault = search::parse_fault(get_string(*said, "fault", "evaluate"), "evaluate");
    outcome.reason = printable(get_string(*said, "reason", "evaluate"));
    if (has(*said, "picture") && has(*said, "bytes"))
      outcome.result = {{"picture", get_string(*said, "picture", "evaluate")},
                        {"bytes", get_int(*said, "bytes", 0, INT64_MAX, "evaluate")}};
  } else {
    outcome.reason = reason_of(job.child.status(), job.child.errors());
  }
  return outcome;
}

void JobPool::kill_all() {
  for (const auto& job : children_) {
    if (!job->killed) kill(*job);
  }
  const double until = now() + kGrace;
  while (now() < until &&
         std::any_of(children_.begin(), children_.end(), [](auto& job) { return !job->child.ended(); }))
    ::poll(nullptr, 0, 10);
  children_.clear();  // kills what has not ended
}

std::filesystem::path packed_path(const std::filesystem::path& work, const Bits& bits, int task) {
  return work / fmt::format("{}-task{}.safetensors", digits(bits), task);
}

bool is_evaluation_file(const std::filesystem::path& path) {
  static const std::regex packed("[1-8]+-task[0-9]+\\.safetensors");
  const std::string name = path.filename().string();
  return name == kReference || std::regex_match(name, packed);
}

ProcessEvaluator::ProcessEvaluator(Job job, std::vector<double> epochs, std::filesystem::path work, PoolOptions options)
    : job_(std::move(job)), epochs_(std::move(epochs)), work_(std::move(work)), pool_(std::move(options)) {}

Job ProcessEvaluator::job_for(const Bits& bits, int task, uint64_t seed) const {
  Job job = job_;
  job.layers = bits;
  job.epochs.assign(epochs_.begin(), epochs_.begin() + task + 1);
  job.seed = seed;
  job.keep = packed_path(work_, bits, task).string();
  job.reference = (work_ / kReference).string();
  return job;
}

void ProcessEvaluator::submit(const search::Request& request) {
  const auto tag = static_cast<int64_t>(submitted_.size());
  submitted_.emplace_back(request.index, request.attempt);
  pool_.submit(job_for(request.bits, request.task, request.seed), tag);
}

std::optional<search::Result> ProcessEvaluator::wait(double seconds) {
  const std::optional<JobPool::Outcome> outcome = pool_.wait(seconds);
  if (!outcome) return std::nullopt;
  search::Result result;
  std::tie(result.index, result.attempt) = submitted_[static_cast<size_t>(outcome->tag)];
  result.ok = outcome->ok;
  result.fault = outcome->fault;
  result.reason = outcome->reason;
  result.seconds = outcome->seconds;
  result.worker = outcome->worker;
  if (!outcome->ok) result.details = outcome->result;
  if (outcome->ok) {
    result.accuracies = get_numbers(outcome->result, "accuracies", 0, 1, "evaluate");
    result.details = {{"losses", outcome->result["losses"]}, {"kl", outcome->result["kl"]}};
  }
  return result;
}

}  // namespace kronbit::app
