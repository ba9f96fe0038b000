#include "tensor/parallel.h"

#include <omp.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <limits>
#include <mutex>

#include "tensor/base/error.h"

namespace kronbit {
namespace {

int allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  const int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  return static_cast<int>(std::clamp(std::ceil(cpu_quota()), 1.0, std::min(1024.0, static_cast<double>(n))));
}

std::atomic<int> chosen_threads{0};

}  // namespace

double cpu_quota(const std::string& root, const std::string& self) {
  std::string group;  // "/a/b", "" the root
  std::ifstream groups(self);
  for (std::string line; std::getline(groups, line);)
    if (line.starts_with("0::/")) group = line.substr(3);
  for (double least = std::numeric_limits<double>::infinity();; group.resize(group.rfind('/'))) {
    if (group == "/") group.clear();
    std::ifstream file(root + group + "/cpu.max");
    std::string quota;
    double period = 0;
    if (file >> quota >> period && quota != "max" && period > 0)
      least = std::min(least, std::atof(quota.c_str()) / period);
    if (group.empty()) return least;
  }
}

int threads() {
  const int n = chosen_threads.load();
  if (n > 0) return n;
  static const int detected = allowed_cpus();
  return detected;
}

void set_threads(int n) {
  if (n < 1 || n > 1024) input_error("threads", "wanted 1..1024, got {}", n);
  chosen_threads = n;
}

void parallel_for(int64_t n, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
  KB_CHECK(grain > 0);
  const int64_t chunks = chunk_count(n, grain);
  const int team = static_cast<int>(std::min<int64_t>(threads(), chunks));
  if (team <= 1 || omp_in_parallel()) {
    for (int64_t c = 0; c < chunks; ++c) body(c * grain, std::min(n, (c + 1) * grain));
    return;
  }
  std::mutex mutex;
  std::exception_ptr failure;
  int64_t failed_chunk = std::numeric_limits<int64_t>::max();
#pragma omp parallel for num_threads(team) schedule(dynamic, 1)
  for (int64_t c = 0; c < chunks; ++c) {
    try {
      body(c * grain, std::min(n, (c + 1) * grain));
    } catch (...) {
      std::lock_guard lock(mutex);
      if (c < failed_chunk) {
        failed_chunk = c;
        failure = std::current_exception();
      }
    }
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace kronbit
