// Everything the report of a search shows, worked out once from the run folder.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/kronbit/search/expectation.h"
#include "apps/kronbit/search/finals.h"

namespace kronbit::app {

/// A run that the explorer planned, and its result if there is one.
struct PlannedEvaluation {
  size_t candidate = 0;
  int task = 0;
  bool informed = false;  ///< chosen for its information, which is known then
  double information = 0, cost = 0;
  bool done = false;
  double seconds = 0, total_seconds = 0;  ///< of this evaluation; of all up to it
};

/// One line of leave-one-out: what the model expected of an observation without having seen its configuration.
struct Foretold {
  int task = 0;
  double observed = 0, mean = 0, sd = 0;
};

/// How far one task's predictions can be trusted.
struct Trust {
  size_t observations = 0;
  std::optional<double> r2;  ///< 1 - sum of squared errors / that of the task's mean; nothing below 3 observations
  double coverage = 0;       ///< fraction within +- 2 sd; 0.95 when the sd is right
};

struct SearchReport {
  RunView run;
  std::string name = {};  ///< of the folder
  Finals finals = {};
  std::vector<PlannedEvaluation> plans = {};
  std::vector<Json> failures = {};       ///< attempts at evaluations
  std::vector<Json> failed_finals = {};  ///< open_failures()

  std::string model_problem = {};  ///< why there is no model
  std::optional<search::Model> model = {};
  std::vector<search::Ranked> ranked = {};
  std::optional<Expected> best = {};   ///< the first of the ranking
  std::optional<Rivals> rivals = {};   ///< of the first
  std::vector<Expected> uniform = {};  ///< 1, 2 .. bits, up to the first that the limits do not allow
  std::vector<Foretold> foretold = {};
  std::vector<Trust> trust = {};  ///< per task

  /// The final that is in best/: the highest score on validation images. nullptr before the finals.
  const FinalRow* champion() const { return finals.champion(run.space); }
  /// What the page is about: the champion, else the first of the ranking; empty before any result.
  Bits chosen() const;
  /// Whether configurations have times: the run has a profile.
  bool timed() const { return run.settings.latency.known(); }
  int tasks() const { return run.state.explorer().tasks(); }
};

/// The last part of a path, also of "." and "run/".
std::string folder_name(const std::filesystem::path& folder);

SearchReport read_search_report(const std::filesystem::path& folder);

/// "0 epochs", "0.25 epochs".
std::string task_name(const SearchReport& report, int task);

}  // namespace kronbit::app
