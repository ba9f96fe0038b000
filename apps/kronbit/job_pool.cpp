#include "apps/kronbit/job_pool.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>

#include "tensor/io/file.h"
#include "tensor/io/text.h"

extern char** environ;

namespace kronbit::app {
namespace {

constexpr size_t kMostOutput = size_t{1} << 20;  // of one child; a result is a few hundred bytes

struct Pipe {
  Descriptor read, write;
  Pipe() {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) throw Error(fmt::format("[evaluate] cannot make a pipe: {}", std::strerror(errno)));
    read = Descriptor(fds[0]);
    write = Descriptor(fds[1]);
  }
};

// The whole text, before the child reads: a job is far smaller than a pipe holds (64 KiB). A child that is gone already
// shows in its exit status.
void write_all(int fd, const std::string& text) {
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = ::write(fd, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    done += static_cast<size_t>(n);
  }
}

std::string last_line(const std::string& text) {
  std::string found;
  for (const Line& line : split_lines(text)) {
    if (!line.text.empty()) found = line.text;
  }
  return found;
}

}  // namespace

struct JobPool::Child {
  int64_t tag = 0;
  int worker = 0;
  pid_t pid = -1;
  Descriptor out, err;
  bool out_open = true, err_open = true;
  std::string output, errors;
  std::chrono::steady_clock::time_point start;
};

JobPool::JobPool(PoolOptions options) : options_(std::move(options)) {}
JobPool::~JobPool() { kill_all(); }

void JobPool::submit(Job job, int64_t tag) {
  KB_CHECK(running() < workers());
  auto child = std::make_unique<Child>();
  child->tag = tag;
  child->start = std::chrono::steady_clock::now();
  while (std::any_of(children_.begin(), children_.end(), [&](const auto& c) { return c->worker == child->worker; })) {
    ++child->worker;
  }
  const bool here = options_.launch.empty();
  job.parent = here ? getpid() : 0;
  const std::string text = dump_line(to_json(job)) + "\n";

  // Here the child runs this very program, even if its file was replaced meanwhile; elsewhere only a path is known.
  std::vector<std::string> words = options_.launch;
  words.push_back(here ? "kronbit" : std::filesystem::read_symlink("/proc/self/exe").string());
  words.push_back("evaluate");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  Pipe in, out, err;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.read.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out.write.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err.write.get(), STDERR_FILENO);
  // A group of its own: Ctrl-C in the terminal reaches the explorer only, which then decides.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setpgroup(&attributes, 0);
  const int code =
      posix_spawnp(&child->pid, here ? "/proc/self/exe" : argv[0], &actions, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (code != 0) throw Error(fmt::format("[evaluate] cannot start {}: {}", words[0], std::strerror(code)));
  child->out = std::move(out.read);
  child->err = std::move(err.read);
  children_.push_back(std::move(child));
  in.read.close();
  write_all(in.write.get(), text);
}

std::optional<JobPool::Outcome> JobPool::wait(double seconds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (!children_.empty()) {
    std::vector<pollfd> polled;
    std::vector<std::pair<Child*, bool>> owners;  // and whether it is stdout
    for (const auto& c : children_) {
      if (c->out_open) {
        polled.push_back({c->out.get(), POLLIN, 0});
        owners.emplace_back(c.get(), true);
      }
      if (c->err_open) {
        polled.push_back({c->err.get(), POLLIN, 0});
        owners.emplace_back(c.get(), false);
      }
    }
    const double left = std::chrono::duration<double>(deadline - std::chrono::steady_clock::now()).count();
    if (left <= 0) return std::nullopt;
    if (::poll(polled.data(), polled.size(), static_cast<int>(std::min(left, 60.0) * 1000) + 1) < 0 && errno != EINTR) {
      throw Error(fmt::format("[evaluate] poll: {}", std::strerror(errno)));
    }
    for (size_t i = 0; i < polled.size(); ++i) {
      if (polled[i].revents == 0) continue;
      auto [child, is_out] = owners[i];
      char buffer[4096];
      const ssize_t n = ::read(polled[i].fd, buffer, sizeof buffer);
      if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (n <= 0) {
        (is_out ? child->out_open : child->err_open) = false;
      } else {
        std::string& text = is_out ? child->output : child->errors;
        if (text.size() < kMostOutput) text.append(buffer, static_cast<size_t>(n));
      }
    }
    for (size_t i = 0; i < children_.size(); ++i) {
      if (children_[i]->out_open || children_[i]->err_open) continue;
      const std::unique_ptr<Child> child = std::move(children_[i]);
      children_.erase(children_.begin() + static_cast<std::ptrdiff_t>(i));
      return finish(*child);
    }
  }
  return std::nullopt;
}

JobPool::Outcome JobPool::finish(Child& child) {
  int status = 0;
  while (waitpid(child.pid, &status, 0) < 0 && errno == EINTR) {
  }
  Outcome outcome;
  outcome.tag = child.tag;
  outcome.worker = child.worker;
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - child.start).count();
  if (WIFSIGNALED(status)) {
    outcome.reason =
        fmt::format("the evaluation was killed by signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
  } else if (WEXITSTATUS(status) != 0) {
    const std::string line = last_line(child.errors);
    outcome.reason =
        line.empty() ? fmt::format("the evaluation ended with exit code {}", WEXITSTATUS(status)) : printable(line);
  } else {
    try {
      outcome.result = parse_json(last_line(child.output), "evaluate");
      outcome.ok = true;
    } catch (const InputError& e) {
      outcome.reason = fmt::format("the evaluation printed no result: {}", e.what());
    }
  }
  return outcome;
}

void JobPool::kill_all() {
  for (const auto& child : children_) ::kill(child->pid, options_.launch.empty() ? SIGKILL : SIGTERM);
  for (const auto& child : children_) {
    while (waitpid(child->pid, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  children_.clear();
}

std::filesystem::path packed_path(const std::filesystem::path& work, const Bits& bits, int task) {
  std::string name;
  for (int b : bits) name += static_cast<char>('0' + b);
  return work / fmt::format("{}-task{}.safetensors", name, task);
}

ProcessEvaluator::ProcessEvaluator(Job job, std::vector<double> epochs, std::filesystem::path work, PoolOptions options)
    : job_(std::move(job)), epochs_(std::move(epochs)), work_(std::move(work)), pool_(std::move(options)) {}

Job ProcessEvaluator::job_for(const Bits& bits, int task, uint64_t seed) const {
  Job job = job_;
  job.layers = bits;
  job.epochs.assign(epochs_.begin(), epochs_.begin() + task + 1);
  job.seed = seed;
  job.keep = packed_path(work_, bits, task).string();
  job.reference = (work_ / "reference.safetensors").string();
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
  result.reason = outcome->reason;
  result.seconds = outcome->seconds;
  result.worker = fmt::format("{}", outcome->worker);
  if (outcome->ok) {
    result.accuracies = get_numbers(outcome->result, "accuracies", 0, 1, "evaluate");
    result.details = {{"losses", outcome->result["losses"]}, {"kl", outcome->result["kl"]}};
  }
  return result;
}

}  // namespace kronbit::app
