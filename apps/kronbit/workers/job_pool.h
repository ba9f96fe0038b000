// Jobs in child processes: `kronbit evaluate`, started here or through a launcher (srun, mpirun, ssh ...) that puts it
// on another machine. The job goes in on stdin, the result comes out on stdout, and a crash is a result like any other.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/kronbit/evaluation/evaluation.h"
#include "apps/kronbit/evaluation/numerics.h"
#include "apps/kronbit/workers/deadlines.h"
#include "search/evaluator.h"

namespace kronbit::app {

struct PoolOptions {
  int workers = 1;
  /// Words put before the program, {worker} in them being the worker's number; empty = here.
  std::vector<std::string> launch = {};
  Deadlines deadlines = {};
  std::optional<Numerics> numerics = {};  ///< that every job has to be calculated with; none = what is fastest there
};

class JobPool {
 public:
  explicit JobPool(PoolOptions options);
  ~JobPool();  ///< kills what is still running
  JobPool(const JobPool&) = delete;
  JobPool& operator=(const JobPool&) = delete;

  /// How one job ended.
  struct Outcome {
    int64_t tag = 0;
    bool ok = false;
    Json result;  ///< of run_job(), when ok; else null or the damaged picture: {"picture", "bytes"}
    search::Fault fault = search::Fault::Worker;  ///< when not
    std::string reason;                           ///< one line, when not
    double seconds = 0;  ///< from its start to its end; waiting in a launcher's queue does not count
    std::string worker;  ///< "0", and on which machine: "0 node7"
  };
  int workers() const { return options_.workers; }
  int running() const { return static_cast<int>(children_.size()); }
  /// Starts a job, on the worker whose last failure is the longest ago. Requires: running() < workers().
  /// Throws: Error when no process can be made.
  void submit(Job job, int64_t tag);
  /// The next outcome, or nothing after `seconds`. Kills what is past its deadline.
  std::optional<Outcome> wait(double seconds);
  void kill_all();
  /// Of the memory of one job, the largest of those that gave a result; 0 = none has said.
  int64_t peak_bytes() const { return peak_bytes_; }

 private:
  struct Running;
  bool here() const { return options_.launch.empty(); }
  int choose_worker() const;
  std::vector<std::string> command(int worker) const;
  void look_at(Running& job) const;
  void kill(Running& job) const;
  Outcome finish(Running& job);
  PoolOptions options_;
  std::string program_;                // its identity, where another machine's may differ
  std::vector<int64_t> last_failure_;  // of each worker, as a number that grows; 0 = none
  int64_t failures_ = 0, peak_bytes_ = 0;
  std::vector<std::unique_ptr<Running>> children_;
};

/// The evaluator of a search: requests become jobs.
class ProcessEvaluator final : public search::Evaluator {
 public:
  /// `job` is every evaluation but for bits, epochs, seed and keep; `epochs` are those of all tasks. Packed networks
  /// are kept in `work`.
  ProcessEvaluator(Job job, std::vector<double> epochs, std::filesystem::path work, PoolOptions options);
  int slots() const override { return pool_.workers(); }
  void submit(const search::Request& request) override;
  std::optional<search::Result> wait(double seconds) override;
  void cancel() override { pool_.kill_all(); }
  int64_t peak_bytes() const { return pool_.peak_bytes(); }
  /// The job of a request.
  Job job_for(const Bits& bits, int task, uint64_t seed) const;

 private:
  Job job_;
  std::vector<double> epochs_;
  std::filesystem::path work_;
  JobPool pool_;
  std::vector<std::pair<int64_t, int>> submitted_;  // tag -> (index, attempt)
};

/// Where the packed network of a configuration after a task is kept.
std::filesystem::path packed_path(const std::filesystem::path& work, const Bits& bits, int task);
/// Whether `path` has the name of what an evaluation leaves: a packed_path(), or the logits before quantization.
bool is_evaluation_file(const std::filesystem::path& path);

}  // namespace kronbit::app
