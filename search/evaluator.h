// Who runs the trainings: the program starts processes here or on a cluster; tests use a formula. The explorer sees
// this interface only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/base/error.h"
#include "tensor/bits.h"
#include "tensor/io/json.h"

namespace kronbit::search {

/// One training from the original weights.
struct Request {
  int64_t index = 0;  ///< of the planned run
  int attempt = 1;    ///< 1, 2, 3
  Bits bits;
  std::vector<double> w;  ///< for information only
  int task = 0;           ///< train through the tasks 0..task, measure the accuracy at each
  uint64_t seed =
      0;  ///< of everything random in it; below 2^63; a function of the run's seed, bits and trainings that broke down
};

/// Whose fault a failure is.
enum class Fault {
  Worker,    ///< the process died, hung or never started: the next attempt is the same request, with the same seed
  Training,  ///< it broke down by itself (a loss that is not finite), as it would again: the next draws another seed
  Refused,   ///< this machine cannot do what is asked; another one may
  Input  ///< its data or files are wrong, and would be for every other request: the search ends until they are right
};
inline const char* name_of(Fault fault) {
  switch (fault) {
    case Fault::Worker:
      return "worker";
    case Fault::Training:
      return "training";
    case Fault::Refused:
      return "refused";
    case Fault::Input:
      return "input";
  }
  return "";
}
/// Throws: InputError naming `where`.
inline Fault parse_fault(std::string_view name, std::string_view where) {
  for (const Fault fault : {Fault::Worker, Fault::Training, Fault::Refused, Fault::Input})
    if (name == name_of(fault)) return fault;
  input_error(where, "fault: wanted worker, training, refused or input, got {}", name);
}

/// How it ended.
struct Result {
  int64_t index = 0;
  int attempt = 1;
  bool ok = false;
  std::string reason;              ///< why not ok: one line
  Fault fault = Fault::Worker;     ///< when not ok
  std::vector<double> accuracies;  ///< of the tasks 0..task, in [0,1]
  double seconds = 0.0;            ///< of the evaluation
  std::string worker;              ///< who ran it
  Json details;                    ///< anything else worth keeping in the journal's line: an object, or null
};

/// Requires of implementations: a result depends on its request only, never on order, time or worker.
class Evaluator {
 public:
  /// Ends what is running.
  virtual ~Evaluator() = default;
  /// Requests that can run at the same time, >= 1.
  virtual int slots() const = 0;
  /// Starts a request and returns at once. Called only while fewer than slots() are running.
  virtual void submit(const Request& request) = 0;
  /// The next result, in any order, or nothing after `seconds`. A crash is a result that is not ok.
  virtual std::optional<Result> wait(double seconds) = 0;
  /// Ends what is running, without results: the search stops early.
  virtual void cancel() = 0;
};

}  // namespace kronbit::search
