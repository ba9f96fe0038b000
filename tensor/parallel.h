// Threads: one parallel loop whose chunks depend on the shape only, never on the number of threads, so that results
// (and sums folded in chunk order) have the same bits for any number of threads.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace kronbit {

/// Threads in use: min(CPU affinity, cpu_quota() rounded up) until set_threads().
int threads();
/// CPUs that the control groups (version 2) of this process allow: the smallest quota / period of the files cpu.max
/// from its own group up to `root`; infinity where none limits. `self` names its group: "0::PATH".
double cpu_quota(const std::string& root = "/sys/fs/cgroup", const std::string& self = "/proc/self/cgroup");
/// Requires: 1 <= n <= 1024. Throws: InputError otherwise.
void set_threads(int n);

/// Chunks of `grain` consecutive indices of [0, n), the last one shorter.
constexpr int64_t chunk_count(int64_t n, int64_t grain) { return n <= 0 ? 0 : (n + grain - 1) / grain; }

/// Calls body(begin, end) for every chunk of [0, n), on several threads, each chunk once. Chunk number = begin / grain.
/// Rethrows the exception of the lowest chunk that threw. Calls from a loop on several threads run on the calling one.
void parallel_for(int64_t n, int64_t grain, const std::function<void(int64_t begin, int64_t end)>& body);

}  // namespace kronbit
