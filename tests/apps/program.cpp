#include "tests/apps/program.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "nn/models/models.h"
#include "nn/state_dict.h"
#include "search/journal.h"
#include "tensor/rng.h"
#include "tests/search/fake.h"

extern char** environ;

namespace kronbit::app {
namespace {

constexpr double kLongest = 120;  // seconds of one process

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }
void pause() { std::this_thread::sleep_for(std::chrono::milliseconds(2)); }

std::vector<char*> pointers(Words& text) {
  std::vector<char*> p;
  for (std::string& s : text) p.push_back(s.data());
  p.push_back(nullptr);
  return p;
}

Words environment_of(const Surroundings& surroundings) {
  // Threads that wait without work would take the processor from the other tests.
  std::map<std::string, std::optional<std::string>> wanted = surroundings.environment;
  wanted.emplace("OMP_WAIT_POLICY", "passive");
  Words all;
  for (char** e = environ; *e && !surroundings.empty_environment; ++e) {
    const std::string text = *e;
    if (!wanted.contains(text.substr(0, text.find('=')))) all.push_back(text);
  }
  for (const auto& [name, value] : wanted) {
    if (value) all.push_back(name + "=" + *value);
  }
  return all;
}

// Between fork and exec: system calls only.
[[noreturn]] void become(const char* program, char* const* argv, char* const* environment, const Surroundings& s,
                         const char* out, const char* err) {
  if (!s.folder.empty() && chdir(s.folder.c_str()) != 0) _exit(120);
  dup2(open("/dev/null", O_RDONLY), 0);
  dup2(open(out, O_WRONLY | O_CREAT | O_TRUNC, 0644), 1);
  dup2(open(err, O_WRONLY | O_CREAT | O_TRUNC, 0644), 2);
  for (int fd = 3; fd < 64; ++fd) close(fd);
  if (s.close_out) close(1);
  for (const auto& [what, most] : {std::pair{RLIMIT_FSIZE, s.most_file_bytes}, {RLIMIT_AS, s.most_address_bytes}}) {
    if (!most) continue;
    const rlimit limit{static_cast<rlim_t>(*most), static_cast<rlim_t>(*most)};
    setrlimit(what, &limit);
  }
  execve(program, argv, environment);
  _exit(121);
}

}  // namespace

Words words(const std::string& text, const Words& more) {
  std::istringstream stream(text);
  Words all;
  for (std::string word; stream >> word;) all.push_back(word);
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

Words with(Words first, const Words& more) {
  first.insert(first.end(), more.begin(), more.end());
  return first;
}

Words with_flag(Words arguments, const std::string& flag, const std::string& value) {
  const auto given = std::find(arguments.begin(), arguments.end(), flag);
  if (given != arguments.end()) arguments.erase(given, given + 2);
  arguments.insert(arguments.end(), {flag, value});
  return arguments;
}

int Ended::error_lines() const { return static_cast<int>(std::count(err.begin(), err.end(), '\n')); }

Program::Program(const Words& arguments, const Surroundings& surroundings) {
  static int count = 0;
  out_ = surroundings.out.empty() ? scratch() / ("out" + std::to_string(++count)) : fs::path(surroundings.out);
  err_ = surroundings.err.empty() ? scratch() / ("err" + std::to_string(++count)) : fs::path(surroundings.err);
  const std::string program = std::string(KRONBIT_BINARY_DIR "/") + surroundings.program;
  Words argv{surroundings.program}, environment = environment_of(surroundings);
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  const std::vector<char*> a = pointers(argv), e = pointers(environment);
  start_ = now();
  pid_ = fork();
  if (pid_ == 0) become(program.c_str(), a.data(), e.data(), surroundings, out_.c_str(), err_.c_str());
  EXPECT_GT(pid_, 0);
}

Program::~Program() {
  if (!running()) return;
  signal(SIGKILL);
  wait();
}

void Program::signal(int number) const { kill(pid_, number); }

bool Program::running() {
  if (status_) return false;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) == 0) return true;
  end_ = now();
  status_ = status;
  return false;
}

Ended Program::wait() {
  while (running()) {
    if (seconds() > kLongest) {
      ADD_FAILURE() << "still running after " << kLongest << " s";
      signal(SIGKILL);
    }
    pause();
  }
  Ended ended;
  if (WIFSIGNALED(*status_)) ended.signal = WTERMSIG(*status_);
  if (WIFEXITED(*status_)) ended.code = WEXITSTATUS(*status_);
  if (fs::is_regular_file(out_)) ended.out = file_text(out_);
  if (fs::is_regular_file(err_)) ended.err = file_text(err_);
  ended.seconds = end_ - start_;
  return ended;
}

bool Program::wait_for_lines(const fs::path& path, int lines) {
  while (running() && seconds() < kLongest) {
    const std::string text = fs::exists(path) ? file_text(path) : "";
    if (std::count(text.begin(), text.end(), '\n') >= lines) return true;
    pause();
  }
  return false;
}

void Program::run_for(double seconds) {
  while (running() && now() - start_ < seconds) pause();
}

double Program::seconds() const { return now() - start_; }

Ended kronbit(const Words& arguments, const Surroundings& surroundings) {
  return Program(arguments, surroundings).wait();
}

void refused(const Words& arguments, const std::string& mentions) {
  std::string shown;
  for (const std::string& word : arguments) shown += word + " ";
  SCOPED_TRACE(shown);
  const Ended end = kronbit(arguments);
  EXPECT_EQ(end.code, 2) << "signal " << end.signal;
  EXPECT_EQ(end.error_lines(), 1) << end.err;
  EXPECT_TRUE(end.err.starts_with("kronbit: ")) << end.err;
  EXPECT_THAT(end.err, testing::HasSubstr(mentions));
  EXPECT_THAT(end.err, testing::Not(testing::HasSubstr("At Most"))) << "the test gives a flag twice";
  EXPECT_LT(end.err.size(), 700u) << end.err;
  EXPECT_EQ(end.out, "");
}

Json kronbit_json(const Words& arguments, const Surroundings& surroundings) {
  Words all = arguments;
  all.push_back("--json");
  const Ended ended = kronbit(all, surroundings);
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(std::count(ended.out.begin(), ended.out.end(), '\n'), 1) << ended.out;
  Json json = parse_json(ended.out.empty() ? "null" : ended.out, "stdout");
  EXPECT_TRUE(json.is_object()) << ended.out;
  return json;
}

fs::path scratch() {
  static const fs::path folder = search::fresh_folder("program");
  fs::create_directories(folder);
  return folder;
}

fs::path fresh(const std::string& name) {
  const fs::path path = scratch() / name;
  fs::remove_all(path);
  return path;
}

bool has_gnuplot() { return std::system("gnuplot --version > /dev/null 2>&1") == 0; }

std::string file_text(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

void write_file(const fs::path& path, const std::string& bytes) {
  std::ofstream stream(path, std::ios::binary);
  stream << bytes;
  EXPECT_TRUE(stream.flush().good()) << path;
}

fs::path tiny_cifar() {
  static const fs::path folder = [] {
    const fs::path path = scratch() / "cifar";
    fs::create_directories(path);
    Rng rng(41, Purpose::Test);
    for (const char* name :
         {"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"}) {
      std::string bytes;
      for (int i = 0; i < 60; ++i) {
        bytes += static_cast<char>(i % 10);
        for (int k = 0; k < 3072; ++k) bytes += static_cast<char>(rng.below(256));
      }
      write_file(path / (std::string(name) + ".bin"), bytes);
    }
    return path;
  }();
  return folder;
}

fs::path tiny_weights(const std::string& net) {
  const fs::path path = scratch() / (net + "-weights.safetensors");
  static std::set<std::string> made;
  if (made.insert(net).second) {
    nn::Network network = nn::build(net);
    network.initialize(42);
    nn::save_state_dict(network, path, {{"normalization", "0.5,0.5,0.5/0.25,0.25,0.25"}});
  }
  return path;
}

Words tiny_data() {
  return {"--data", "cifar10:" + tiny_cifar().string(), "--validation", "train:20", "--threads", "1"};
}

Words eval_arguments(const fs::path& weights, const Words& more) {
  return with(with(words("eval --net resnet20", {"--weights", weights.string()}), tiny_data()), more);
}

Words search_arguments(const fs::path& out, const Words& more) {
  Words all = words("search --net resnet20 --tasks 0,0.1 --batch 25 --budget 10evals --curve bezier:1 --probe 4",
                    {"--final-top", "1", "--weights", tiny_weights().string(), "--out", out.string()});
  const Words data = tiny_data();
  all.insert(all.end(), data.begin(), data.end());
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

const fs::path& unbroken_search() {
  static const fs::path folder = [] {
    const fs::path path = scratch() / "unbroken";
    const Ended ended = kronbit(search_arguments(path));
    EXPECT_EQ(ended.code, 0) << ended.err;
    return path;
  }();
  return folder;
}

std::string essence(const fs::path& run) {
  std::string text;
  for (const Json& line : search::read_journal(run).lines) {
    Json kept = line;
    for (const char* key : {"n", "crc", "seconds", "worker", "attempt"}) kept.erase(key);
    const auto event = line["event"].get<std::string>();
    if (event == "plan" || event == "evaluation" || event == "fp32" || event == "final") text += kept.dump() + "\n";
  }
  return text;
}

Words temporaries(const fs::path& folder) {
  Words found;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().filename().string().find(".tmp") != std::string::npos) found.push_back(entry.path().string());
  }
  return found;
}

}  // namespace kronbit::app
