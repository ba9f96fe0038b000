#include "apps/kronbit/search/settings.h"

#include <algorithm>

#include "tensor/io/parse.h"
#include "tensor/parallel.h"

namespace kronbit::app {
namespace {

// Text settings and where they live: one list for writing and reading.
std::vector<std::pair<const char*, std::string*>> text_fields(SearchSettings& s) {
  return {{"net", &s.network.net},
          {"weights", &s.network.weights},
          {"weights_crc", &s.weights_crc},
          {"classes_option", &s.network.classes},
          {"input_size", &s.network.input_size},
          {"data", &s.data.data},
          {"validation", &s.data.validation},
          {"normalize", &s.data.normalize},
          {"image_size", &s.data.image_size},
          {"data_seed", &s.data.seed},
          {"fingerprint", &s.fingerprint},
          {"normalization", &s.normalization},
          {"mode", &s.quantizer.mode},
          {"block", &s.quantizer.block},
          {"optimiser", &s.tune.optimiser},
          {"lr", &s.tune.lr},
          {"momentum", &s.tune.momentum},
          {"weight_decay", &s.tune.weight_decay},
          {"batch", &s.tune.batch},
          {"precision", &s.tune.precision},
          {"by", &s.wish.by},
          {"k", &s.wish.k},
          {"min_accuracy", &s.wish.min_accuracy},
          {"max_drop", &s.wish.max_drop},
          {"max_size", &s.wish.max_size},
          {"max_avg_bits", &s.wish.max_avg_bits},
          {"max_bops", &s.wish.max_bops},
          {"tasks", &s.tasks},
          {"curve", &s.curve},
          {"cost", &s.cost},
          {"seed", &s.seed},
          {"probe", &s.probe},
          {"strategy", &s.strategy},
          {"model", &s.model},
          {"warp", &s.warp},
          {"bits_min", &s.rules.bits_min},
          {"bits_max", &s.rules.bits_max},
          {"choices", &s.rules.choices}};
}

// How journals name the default of --validation, also where its images are a fifth of the training split, not 5000.
constexpr const char* kUsualValidation = "train:5000";

std::string strategy_names() {
  std::string names;
  for (const search::StrategyInfo& info : search::strategies())
    names += (names.empty() ? "" : ", ") + std::string(info.name);
  return names;
}

}  // namespace

void add_wish_options(CLI::App* command, WishOptions& o) {
  command->add_option("--by", o.by, "what is wanted: effective, accuracy, size, bops or latency");
  command->add_option("--k", o.k, "of the effective accuracy E = a - (sum of bits - 4 n) / k");
  command->add_option("--min-accuracy", o.min_accuracy, "least accuracy, 0.91 or 91%");
  command->add_option("--max-drop", o.max_drop, "largest loss against fp32, 0.5% or 0.005");
  command->add_option("--max-size", o.max_size, "largest packed size of the convolutions, 3.5MB");
  command->add_option("--max-avg-bits", o.max_avg_bits, "largest mean bits per weight");
  command->add_option("--max-bops", o.max_bops, "most bit operations per image");
  command->add_option("--max-latency", o.max_latency, "longest time of one image, 2ms or 350us (wants --profile)");
  command->add_option("--profile", o.profile, "times of the network's layers, from kronbit profile");
}

search::Limits limits_of(const WishOptions& o) {
  search::Limits limits;
  if (!o.max_size.empty()) {
    limits.max_bytes = static_cast<double>(parse_bytes(o.max_size, "--max-size"));
    if (limits.max_bytes < 1) input_error("--max-size", "wanted at least a byte, got {}", o.max_size);
  }
  if (!o.max_avg_bits.empty()) limits.max_average_bits = parse_number(o.max_avg_bits, 1e-3, 8, "--max-avg-bits");
  if (!o.max_bops.empty()) limits.max_bops = parse_number(o.max_bops, 1, 1e18, "--max-bops");
  if (!o.max_latency.empty()) limits.max_milliseconds = parse_milliseconds(o.max_latency, "--max-latency");
  return limits;
}

search::Goal goal_of(const WishOptions& o, double fp32) {
  search::Goal goal;
  goal.by = search::parse_by(o.by);
  goal.k = parse_number(o.k, 1e-3, 1e9, "--k");
  if (!o.min_accuracy.empty()) goal.min_accuracy = parse_percent_or_fraction(o.min_accuracy, "--min-accuracy");
  if (!o.max_drop.empty()) {
    goal.min_accuracy = std::max(goal.min_accuracy, fp32 - parse_percent_or_fraction(o.max_drop, "--max-drop"));
  }
  return goal;
}

void check_latency(const WishOptions& o, const LatencyModel& latency) {
  if (latency.known() || (o.by != search::name_of(search::By::Latency) && o.max_latency.empty())) return;
  input_error(o.max_latency.empty() ? "--by" : "--max-latency",
              "latency: wanted --profile FILE (kronbit profile --net N --out FILE makes one), got none");
}

void add_search_settings(CLI::App* command, SearchSettings& s) {
  add_network_options(command, s.network, true);
  add_data_options(command, s.data);
  command->add_option("--tasks", s.tasks, "epochs of fine-tuning at which accuracy is measured, ascending");
  command->add_option("--curve", s.curve, "bezier:DEGREE, chebyshev:WEIGHTS or line");
  command->add_option("--strategy", s.strategy, "what chooses the next evaluation: " + strategy_names());
  command->add_option("--model", s.model, "what the model sees: curve, error, bits, curve+error, bits+error, or auto");
  command->add_option("--warp", s.warp, "what is modelled: accuracies (none), their logits, or auto");
  command->add_option(
      "--observe", s.observe,
      "what the model is told: accuracy as measured, or smooth: with the divergence from floating point");
  command->add_option("--covariance", s.covariance, "of the model's curve or bits: matern or se");
  command->add_flag("--refine", s.refine,
                    "also step single layers of the best, leaving the curve (not with halving and hyperband)");
  command->add_option("--probe", s.probe, "training images that the sensitivity of each layer is measured on; 0 = not");
  command->add_option(
      "--cost", s.cost,
      "of the tasks: work (forward passes), measured (seconds, timed when the search begins) or numbers, "
      "one per task");
  command->add_option("--seed", s.seed, "of the search and of every evaluation");
  add_rule_options(command, s.rules);
  command->add_option(
      "--try", s.tries,
      "bits to evaluate first, at the highest task, as --fix, --tie and --choices allow (repeatable; @bits.json too)");
  command->add_flag("--no-baselines", s.no_baselines,
                    "do not evaluate uniform networks first: 4, 3 and 2 bits, fewer where limits want it; by accuracy "
                    "under a limit the largest that fits");
  command->add_option("--mode", s.quantizer.mode, "weight quantizer: signed-extreme or paper-floor");
  command->add_option("--block", s.quantizer.block, "channels that share a multiplier or exponent");
  add_tune_options(command, s.tune);
  add_wish_options(command, s.wish);
}

Json to_json(const SearchSettings& settings) {
  SearchSettings s = settings;
  Json json = Json::object();
  if (s.data.validation.empty()) s.data.validation = kUsualValidation;
  for (const auto& [key, value] : text_fields(s)) json[key] = *value;
  if (s.tune.device != "cpu") json["device"] = s.tune.device;
  json["fix"] = s.rules.fix;
  json["tie"] = s.rules.tie;
  json["try"] = s.tries;
  json["no_baselines"] = s.no_baselines;
  json["refine"] = s.refine;
  json["observe"] = s.observe;
  json["covariance"] = s.covariance;
  if (s.space > 1) json["space"] = s.space;
  if (s.data.skip_bad) json["skip_bad"] = s.data.left_out.value_or(std::vector<std::string>{});
  json["train_images"] = s.train_images;
  json["validation_images"] = s.validation_images;
  json["test_images"] = s.test_images;
  json["classes"] = s.classes;
  json["fp32_validation"] = s.fp32_validation;
  if (!s.wish.max_latency.empty()) json["max_latency"] = s.wish.max_latency;
  if (!s.measured_costs.empty()) json["measured_costs"] = s.measured_costs;
  if (!s.errors.empty()) json["errors"] = s.errors;
  if (s.latency.known()) json["latency"] = to_json(s.latency);
  return json;
}

search::ErrorTable errors_from_json(const Json& json, std::string_view where) {
  search::ErrorTable errors;
  for (const Json& row : get_array(json, "errors", where)) {
    const Json named = {{"errors", row}};
    errors.push_back(get_numbers(named, "errors", 0, 1e300, where));
    if (errors.back().size() != kMaxBits)
      input_error(where, "errors: wanted 8 numbers of a layer, got {}", errors.back().size());
  }
  return errors;
}

std::vector<double> measured_costs_from_json(const Json& json, std::string_view where) {
  return get_numbers(json, "measured_costs", 1e-9, 1e12, where);
}

int space_from_json(const Json& json, std::string_view where) {
  return has(json, "space") ? static_cast<int>(get_int(json, "space", 2, kSpace, where)) : 1;
}

const Json& settings_of_search(const std::vector<Json>& lines, const std::string& folder) {
  const Json& settings = get_object(lines[0], "settings", folder);
  if (!has(settings, "curve")) input_error(folder, "wanted the folder of a search, got that of a training");
  return settings;
}

SearchSettings settings_from_json(const Json& json, std::string_view where) {
  SearchSettings s;
  for (const auto& [key, value] : text_fields(s)) *value = get_string(json, key, where);
  if (has(json, "device")) s.tune.device = get_string(json, "device", where);
  s.rules.fix = get_strings(json, "fix", where);
  s.rules.tie = get_strings(json, "tie", where);
  s.tries = get_strings(json, "try", where);
  s.no_baselines = get_bool(json, "no_baselines", where);
  s.refine = get_bool(json, "refine", where);
  s.observe = has(json, "observe") ? get_string(json, "observe", where) : "accuracy";
  s.covariance = has(json, "covariance") ? get_string(json, "covariance", where) : "se";
  s.space = space_from_json(json, where);
  s.data.skip_bad = has(json, "skip_bad");
  if (s.data.skip_bad) s.data.left_out = get_strings(json, "skip_bad", where);
  s.train_images = get_int(json, "train_images", 0, INT64_MAX, where);
  s.validation_images = get_int(json, "validation_images", 0, INT64_MAX, where);
  s.test_images = get_int(json, "test_images", 0, INT64_MAX, where);
  if (s.data.validation == kUsualValidation && s.validation_images != 5000) s.data.validation = "";
  s.classes = static_cast<int>(get_int(json, "classes", 1, 65536, where));
  s.fp32_validation = get_number(json, "fp32_validation", 0, 1, where);
  if (has(json, "max_latency")) s.wish.max_latency = get_string(json, "max_latency", where);
  if (has(json, "measured_costs")) s.measured_costs = measured_costs_from_json(json, where);
  if (has(json, "errors")) s.errors = errors_from_json(json, where);
  if (has(json, "latency")) s.latency = latency_from_json(get_object(json, "latency", where), where);
  return s;
}

Job job_of(const SearchSettings& s, const Frame& frame, int workers) {
  Job job;
  job.network = s.network;
  job.network.classes = fmt::format("{}", s.classes);
  job.data = s.data;
  job.data.normalize = s.normalization;
  job.weights_crc = s.weights_crc;
  job.fingerprint = s.fingerprint_now;
  job.bits = s.quantizer;
  job.tune = s.tune;
  job.kernel = frame.kernel == "auto" ? "" : frame.kernel;
  job.threads = std::max(1, threads() / workers);
  return job;
}

}  // namespace kronbit::app
