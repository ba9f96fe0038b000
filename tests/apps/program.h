// The real program, build/kronbit, as its users run it: started as a process, watched, killed; and small data for it.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tensor/io/json.h"

namespace kronbit::app {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

/// Words at blanks; then `more`.
Words words(const std::string& text, const Words& more = {});
/// Both lists, one behind the other.
Words with(Words first, const Words& more);
/// The arguments with `flag` set to `value`, whether it was given before or not.
Words with_flag(Words arguments, const std::string& flag, const std::string& value);

/// How a process ended.
struct Ended {
  int code = -1;   ///< exit code; -1 when a signal ended it
  int signal = 0;  ///< that ended it
  std::string out, err;
  double seconds = 0;
  int error_lines() const;
};

struct Surroundings {
  std::string program = "kronbit";  ///< in the build folder
  bool empty_environment = false;
  std::map<std::string, std::optional<std::string>> environment = {};  ///< set, or removed
  std::string out = {};                            ///< path of stdout instead of a file that is read
  std::string err = {};                            ///< the same of stderr: a terminal
  bool close_out = false;                          ///< stdout is closed
  std::optional<int64_t> most_file_bytes = {};     ///< no file may grow beyond
  std::optional<int64_t> most_address_bytes = {};  ///< of memory, used or only reserved
  fs::path folder = {};                            ///< working directory
};

/// A kronbit that runs. The destructor kills it.
class Program {
 public:
  explicit Program(const Words& arguments, const Surroundings& surroundings = {});
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  void signal(int number) const;
  bool running();
  /// Waits for its end, two minutes at most.
  Ended wait();
  /// Waits until `path` has `lines` lines or more, or the program has ended. False when it has ended.
  bool wait_for_lines(const fs::path& path, int lines);
  /// Waits until `seconds` after its start, or its end.
  void run_for(double seconds);
  double seconds() const;  ///< since the start
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  std::optional<int> status_;
  double start_ = 0, end_ = 0;
  fs::path out_, err_;
};

Ended kronbit(const Words& arguments, const Surroundings& surroundings = {});
/// Its stdout, which has to be one JSON object on one line, with exit code 0.
Json kronbit_json(const Words& arguments, const Surroundings& surroundings = {});

/// Expects the refusal of wrong input: exit code 2, one line on stderr of which `mentions` is part, nothing on stdout.
void refused(const Words& arguments, const std::string& mentions);

/// A folder of this process, in memory where there is such a place; removed at the end.
fs::path scratch();
/// A place in it where nothing is.
fs::path fresh(const std::string& name);
std::string file_text(const fs::path& path);
bool has_gnuplot();
void write_file(const fs::path& path, const std::string& bytes);

/// CIFAR-10 in its binary version: random images, 60 in each of the six files. Made once.
fs::path tiny_cifar();
/// A network with random weights that knows its normalization. Made once.
fs::path tiny_weights(const std::string& net = "resnet20");
/// "--data cifar10:... --validation train:20 --threads 1 ..." for most subcommands.
Words tiny_data();

/// The arguments of eval on that data.
Words eval_arguments(const fs::path& weights, const Words& more = {});

/// The arguments of a short search into `out`, and what it writes when nothing disturbs it (run once).
Words search_arguments(const fs::path& out, const Words& more = {});
const fs::path& unbroken_search();
/// The journal's plans, evaluations and finals without what may differ: times, workers, failures and how many attempts
/// they cost, numbers of lines.
std::string essence(const fs::path& run);
/// Names of files anywhere below `folder` that an interrupted write left.
Words temporaries(const fs::path& folder);

}  // namespace kronbit::app
