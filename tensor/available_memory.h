// How much memory is left to this process, by the system and by its control groups.
#pragma once

#include <cstdint>
#include <string>

namespace kronbit {

/// Bytes that may still be taken before the system or a control group runs out: the least of MemAvailable and, for
/// every control group (version 1 or 2) from this process's own up to the root, its limit less what it uses; file
/// pages that it has not used lately count as free. INT64_MAX where nothing is known.
/// `proc` and `groups` are where the system tells: /proc and /sys/fs/cgroup.
int64_t available_memory(const std::string& proc = "/proc", const std::string& groups = "/sys/fs/cgroup");

}  // namespace kronbit
