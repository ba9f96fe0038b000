#include "tensor/parallel.h"

#include <omp.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <fstream>
#include <limits>
#include <mutex>
#include <string>

#include "tensor/base/error.h"

namespace kronbit {
namespace {

int allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  std::ifstream quota("/sys/fs/cgroup/cpu.max");
  std::string limit;
  double period = 0;
  if (quota >> limit >> period && limit != "max" && period > 0) {
    n = std::min(n, static_cast<int>(std::ceil(std::atof(limit.c_str()) / period)));
  }
  return std::clamp(n, 1, 1024);
}

std::atomic<int> chosen_threads{0};

}  // namespace

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
