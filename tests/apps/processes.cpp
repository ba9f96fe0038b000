#include "tests/apps/processes.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "tests/apps/program.h"

namespace kronbit::app {
namespace {

struct Status {
  pid_t parent = 0;
  char state = 0;  ///< 0 = there is none
};

Status status_of(pid_t process) {
  const std::string text = file_text("/proc/" + std::to_string(process) + "/stat");
  const size_t name_end = text.rfind(')');
  Status status;
  if (name_end != std::string::npos) std::istringstream(text.substr(name_end + 1)) >> status.state >> status.parent;
  return status;
}

}  // namespace

std::vector<pid_t> descendants_of(pid_t process) {
  std::vector<std::pair<pid_t, pid_t>> all;  // and its parent
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const pid_t pid = std::stoi(name);
    all.emplace_back(pid, status_of(pid).parent);
  }
  std::vector<pid_t> found = {process};
  for (size_t i = 0; i < found.size(); ++i)
    for (const auto& [pid, parent] : all)
      if (parent == found[i]) found.push_back(pid);
  found.erase(found.begin());
  return found;
}

std::vector<pid_t> evaluations_of(pid_t process) {
  std::vector<pid_t> found;
  for (const pid_t pid : descendants_of(process)) {
    const std::string folder = "/proc/" + std::to_string(pid);
    const std::string command = file_text(folder + "/cmdline");
    std::error_code none;
    const std::string program = fs::read_symlink(folder + "/exe", none).filename();
    if (program == "kronbit" && command.find(std::string("\0evaluate", 9)) != std::string::npos) found.push_back(pid);
  }
  return found;
}

bool lives(pid_t process) {
  const char state = status_of(process).state;
  return state != 0 && state != 'Z' && state != 'X';
}

std::vector<pid_t> wait_for_the_end_of(std::vector<pid_t> processes) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  for (;;) {
    std::erase_if(processes, [](pid_t pid) { return !lives(pid); });
    if (processes.empty() || std::chrono::steady_clock::now() > until) return processes;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

std::string output_of(const std::string& command) {
  std::string text;
  FILE* const pipe = popen(command.c_str(), "r");
  if (!pipe) return text;
  char buffer[4096];
  while (const size_t n = fread(buffer, 1, sizeof buffer, pipe)) text.append(buffer, n);
  pclose(pipe);
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

bool installed(const std::string& program) { return !output_of("command -v " + program).empty(); }

}  // namespace kronbit::app
