#include "apps/kronbit/workers/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "tensor/base/error.h"

extern char** environ;

namespace kronbit::app {
namespace {

constexpr size_t kMostText = size_t{1} << 20;  // of one stream; what matters is at its end and far smaller

struct Pipe {
  Descriptor read, write;
  Pipe() {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) throw Error(fmt::format("[evaluate] cannot make a pipe: {}", std::strerror(errno)));
    read = Descriptor(fds[0]);
    write = Descriptor(fds[1]);
  }
};

/// What posix_spawn is told, freed at the end.
struct SpawnPlan {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  SpawnPlan() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF);
    sigset_t usual;  // what we ignore is not for others to ignore
    sigemptyset(&usual);
    for (const int number : {SIGPIPE, SIGXFSZ}) sigaddset(&usual, number);
    posix_spawnattr_setsigdefault(&attributes, &usual);
  }
  ~SpawnPlan() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
};

}  // namespace

Child::Child(const std::string& file, std::vector<std::string> arguments) {
  std::vector<char*> argv;
  for (std::string& word : arguments) argv.push_back(word.data());
  argv.push_back(nullptr);
  Pipe in, out, err;
  SpawnPlan plan;
  posix_spawn_file_actions_adddup2(&plan.actions, in.read.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&plan.actions, out.write.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&plan.actions, err.write.get(), STDERR_FILENO);
  const int code = posix_spawnp(&pid_, file.c_str(), &plan.actions, &plan.attributes, argv.data(), environ);
  if (code != 0) throw Error(fmt::format("[evaluate] cannot start {}: {}", file, std::strerror(code)));
  in_ = std::move(in.write);
  out_.fd = std::move(out.read);
  err_.fd = std::move(err.read);
  for (const int fd : {out_.fd.get(), err_.fd.get()}) fcntl(fd, F_SETFL, O_NONBLOCK);
}

Child::~Child() {
  if (status_) return;
  signal(SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void Child::write(const std::string& text) {
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = ::write(in_.get(), text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    done += static_cast<size_t>(n);
  }
}

void Child::add_polled(std::vector<pollfd>& polled) const {
  for (const Stream* stream : {&out_, &err_}) {
    if (stream->open) polled.push_back({stream->fd.get(), POLLIN, 0});
  }
}

void Child::Stream::read() {
  char buffer[4096];
  while (open) {
    const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    open = n > 0;
    if (open) text.append(buffer, static_cast<size_t>(n));
    if (text.size() > kMostText) text.erase(0, text.size() - kMostText / 2);
  }
}

bool Child::ended() {
  if (!status_) {
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) == pid_) status_ = status;
  }
  out_.read();
  err_.read();
  return status_.has_value();
}

void Child::signal(int number) const {
  if (!status_) ::kill(-pid_, number);
}

}  // namespace kronbit::app
