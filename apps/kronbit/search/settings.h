// Everything a search depends on, as text that lives in the first line of its journal: from it alone rank, status and
// report rebuild the candidates and the state of a run.
#pragma once

#include <string>
#include <vector>

#include "apps/kronbit/evaluation/evaluation.h"
#include "apps/kronbit/options/common.h"
#include "apps/kronbit/search/latency_model.h"
#include "apps/kronbit/search/rule_options.h"
#include "search/allocation.h"
#include "search/goal.h"
#include "search/strategy.h"

namespace kronbit::app {

/// What is wanted: shared by search (where it steers) and rank (where it only orders).
struct WishOptions {
  std::string by = "effective", k = "100", min_accuracy, max_drop, max_size, max_avg_bits, max_bops, max_latency,
              profile;
};
void add_wish_options(CLI::App* command, WishOptions& options);
search::Limits limits_of(const WishOptions& options);
/// fp32: accuracy that --max-drop refers to.
search::Goal goal_of(const WishOptions& options, double fp32);

/// Throws: InputError when times are wished for and not known.
void check_latency(const WishOptions& options, const LatencyModel& latency);

/// What the settings make of candidates and baselines. A run keeps the one it began with; a change of either is a new
/// number. 1: the curve and the hull of the allocations, uniform networks whatever the rules for single layers say; 2:
/// within several limits at once no exact allocation; 3: see make_space().
inline constexpr int kSpace = 3;

/// SearchSettings::cost for costs that are seconds of the machine the search began on.
inline constexpr const char* kMeasuredCost = "measured";

struct SearchSettings {
  NetworkOptions network;
  DataOptions data;
  BitsOptions quantizer = usual_quantizer();  ///< mode and block
  TuneOptions tune;
  WishOptions wish;
  RuleOptions rules;
  std::string tasks = "0,0.25,1,4", curve = "bezier:1", cost = "work", seed = "1", probe = "200",
              strategy = search::StrategyOptions{}.name, model = "auto", warp = "logit", observe = "accuracy",
              covariance = "matern";
  std::vector<std::string> tries;
  bool no_baselines = false, refine = false;
  int space = kSpace;
  // Found when the search started.
  std::string weights_crc, fingerprint, normalization;
  std::string fingerprint_now;  ///< of the data as they are, which a repaired picture changes: what evaluations check
  int64_t train_images = 0, validation_images = 0, test_images = 0;
  int classes = 0;
  double fp32_validation = 0;
  std::vector<double> measured_costs = {};  ///< with cost kMeasuredCost: seconds of a run to each task, timed once
  search::ErrorTable errors = {};  ///< what quantizing each layer alone does to the logits; empty with --probe 0
  LatencyModel latency = {};       ///< what --profile said: the numbers, so that the file is not needed any more
};
void add_search_settings(CLI::App* command, SearchSettings& settings);
Json to_json(const SearchSettings& settings);
/// The table under "errors". Throws: InputError.
search::ErrorTable errors_from_json(const Json& json, std::string_view where);
/// The numbers under "measured_costs". Throws: InputError.
std::vector<double> measured_costs_from_json(const Json& json, std::string_view where);
/// SearchSettings::space of a run with these settings.
int space_from_json(const Json& json, std::string_view where);
/// What the first line of a journal has under "settings". lines: the journal in `folder`, not empty.
/// Throws: InputError when it is that of a training.
const Json& settings_of_search(const std::vector<Json>& lines, const std::string& folder);
SearchSettings settings_from_json(const Json& json, std::string_view where);

/// The evaluation every request becomes.
Job job_of(const SearchSettings& settings, const Frame& frame, int workers);

}  // namespace kronbit::app
