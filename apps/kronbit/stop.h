// When work is to stop before its end: a signal, or the time limit of this process. Work that takes long looks here,
// finishes its current write and returns.
#pragma once

#include <atomic>
#include <string>

namespace CLI {
class App;
}

namespace kronbit::app {

/// SIGINT ends the program at once with exit code 130, SIGTERM and SIGUSR1 (a batch system's warning) with 143; others
/// that matter are ignored.
void install_signals();
/// From here on the first of them only sets stop_requested: for work that looks at it, finishes its current write and
/// returns. The second one ends the program at once.
void stop_gently();
extern std::atomic<bool> stop_requested;

/// --time-limit
void add_time_limit_option(CLI::App* command, std::string& limit);
/// `limit` is a wall time from the start of this process, such as "3h50m"; "" = none. Throws: InputError.
void set_time_limit(const std::string& limit);
/// No new piece of work is to begin: an evaluation, a final training, a step.
bool time_is_up();

/// The exit code of work that stopped early: 130 or 143 after a signal, 143 when the time is up, else 0.
int stop_exit_code();
/// "stopped", and by the time limit if it was that.
std::string stop_reason();

}  // namespace kronbit::app
