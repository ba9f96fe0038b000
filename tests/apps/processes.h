// The processes of this machine, for tests that kill some and look what is left.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace kronbit::app {

/// Its children, theirs, and so on.
std::vector<pid_t> descendants_of(pid_t process);
/// Those of them that are `kronbit evaluate`.
std::vector<pid_t> evaluations_of(pid_t process);
/// It is there and no zombie.
bool lives(pid_t process);
/// Waits until none of them lives, half a minute at most. Returns: those that do.
std::vector<pid_t> wait_for_the_end_of(std::vector<pid_t> processes);
/// Runs a command of a shell. Returns: what it printed on stdout, without the last line end.
std::string output_of(const std::string& command);
/// There is such a program in PATH.
bool installed(const std::string& program);

}  // namespace kronbit::app
