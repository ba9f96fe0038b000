// kronbit search: explores bit assignments, ranks them, fine-tunes the best and writes the report.
#include <chrono>

#include "apps/kronbit/evaluation/numerics.h"
#include "apps/kronbit/options/device.h"
#include "apps/kronbit/options/pictures.h"
#include "apps/kronbit/progress.h"
#include "apps/kronbit/runs/dry_run.h"
#include "apps/kronbit/runs/run_folder.h"
#include "apps/kronbit/runs/search_session.h"
#include "apps/kronbit/search/estimate.h"
#include "apps/kronbit/search/search_space.h"
#include "apps/kronbit/workers/try_out.h"
#include "nn/models/models.h"
#include "nn/state_dict.h"
#include "nn/train.h"
#include "quant/sensitivity.h"
#include "search/journal.h"
#include "search/state.h"
#include "tensor/io/crc32.h"
#include "tensor/io/file.h"
#include "tensor/io/parse.h"
#include "tensor/io/safetensors.h"

namespace kronbit::app {
namespace {

/// The times of --profile; without it, or where the run itself says which, those that the run began with.
void examine_profile(SearchSettings& s, const nn::Network& net, const search::JournalContent& known) {
  if (!s.wish.profile.empty()) {
    const Json* noted = search::find_note(known.lines, "options");
    const std::string path = std::filesystem::absolute(s.wish.profile).lexically_normal().string();
    if (!noted || get_string(*noted, "profile", "journal") != path) s.latency = LatencyModel::read(path, net);
  }
  if (known.lines.empty()) return;
  const Json& settings = get_object(known.lines[0], "settings", "journal");
  if (!has(settings, "latency")) return;
  const Json& began_with = get_object(settings, "latency", "journal");
  if (!s.latency.known()) {
    s.latency = latency_from_json(began_with, "journal");
  } else if (dump_line(to_json(s.latency)) != dump_line(began_with)) {
    input_error("--profile", "{}: wanted the times that the run began with, got others", s.wish.profile);
  }
}

/// What quantizing each layer alone does: the model sees configurations through it, and allocations start from it.
void examine_sensitivity(SearchSettings& s, const Frame& frame, const nn::Network& net, const data::Splits& splits) {
  const int64_t images = parse_int(s.probe, 0, 1'000'000, "--probe");
  if (images == 0) return;
  Progress progress(frame, "sensitivity", "passes");
  quant::SensitivityOptions options;
  options.assign = assign_options(s.quantizer);
  options.precision = parse_precision(s.tune.precision);
  options.progress = [&](int64_t done, int64_t total) { progress.update(done, total); };
  options.stop = &stop_requested;
  s.errors = quant::measure_sensitivity(net, splits.train.spread(images), splits.normalization, options).mse;
}

/// Paths as the journal keeps them: whole, so that the run can be gone on with from anywhere. Runs from before data were
/// kept so have them as they were given.
void make_absolute(SearchSettings& s, const search::JournalContent& known) {
  s.network.weights = std::filesystem::absolute(s.network.weights).lexically_normal().string();
  const bool as_in_run = !known.lines.empty() && get_string(get_object(known.lines[0], "settings", "journal"), "data",
                                                            "journal") == s.data.data;
  if (!as_in_run) s.data.data = with_absolute_folder(s.data.data);
}

/// Fills in what only the files can tell: fingerprints, numbers of images, the accuracy before quantization. Returns
/// whether the run has begun before. others: folders of searches that share the data, whose wrong inputs count too.
bool examine(SearchSettings& s, const Frame& frame, const std::filesystem::path& out,
             const std::vector<std::string>& others, bool dry_run) {
  const search::JournalContent known = out.empty() ? search::JournalContent{} : search::read_journal(out);
  s.weights_crc = "crc32:" + hex_of(crc32_of_file(s.network.weights));
  const int64_t size = input_size(s.network);  // settings keep one that is not the usual one: jobs and reports need it
  if (size != nn::usual_input_size(s.network.net)) s.network.input_size = fmt::format("{}", size);
  DataOptions read = s.data;
  if (read.skip_bad) read.left_out = left_out_by(known.lines);
  const data::Splits splits = open_data(read, s.network);
  if (read.skip_bad) s.data.left_out = splits.left_out;
  make_absolute(s, known);
  std::vector<Json> lines = known.lines;
  for (const std::string& folder : others)
    if (!lines.empty())
      for (const Json& line : search::read_journal(folder).lines)
        if (line["event"] == "input") lines.push_back(line);
  s.fingerprint = fingerprint_of(s.data, size, splits, lines, "fingerprint");
  s.fingerprint_now = splits.fingerprint;
  s.normalization = splits.normalization.text();
  s.train_images = splits.train.size();
  s.validation_images = splits.validation.size();
  s.test_images = splits.test.size();
  LoadedNetwork loaded = load_network(s.network);
  nn::Network& net = loaded.net;
  s.classes = net.classes();
  check_classes(s.network.weights, s.classes, loaded.info.class_names, splits, Classes::Enough);
  for (std::string& text : s.tries)  // the journal keeps the bits: the file may change or go
    if (text.starts_with('@')) text = format_bits(read_bits(text, net));
  examine_profile(s, net, known);
  if (!known.lines.empty()) s.space = space_from_json(get_object(known.lines[0], "settings", "journal"), "journal");
  make_space(s);  // mistakes in curve, limits and layers show before anything is computed or written
  check_pictures(read, {splits.train, splits.validation, splits.test});  // before anything is computed in vain
  if (!known.lines.empty()) {
    // Already measured when the run began; were anything else different, the comparison of settings would say so.
    const Json& settings = get_object(known.lines[0], "settings", "journal");
    if (has(settings, "fp32_validation")) {
      s.fp32_validation = get_number(settings, "fp32_validation", 0, 1, "journal");
      if (has(settings, "errors")) s.errors = errors_from_json(settings, "journal");
      if (has(settings, "measured_costs")) s.measured_costs = measured_costs_from_json(settings, "journal");
      return true;
    }
  }
  if (!dry_run) make_folder(out);
  examine_sensitivity(s, frame, net, splits);
  if (dry_run) return false;
  s.fp32_validation = nn::evaluate(net, splits.validation, splits.normalization, 250, {}, &stop_requested,
                                   parse_precision(s.tune.precision))
                          .top1;
  return false;
}

/// An evaluation tried on this machine, as the search in `out` calculates, if there is one. Throws: as try_out().
Trial try_evaluation(const Frame& frame, const SearchOptions& options, const std::string& out,
                     const SearchSettings& settings) {
  PoolOptions pool = pool_options(options);
  const std::string& precision = settings.tune.precision;
  pool.numerics = out.empty() ? numerics_here(precision) : numerics_of_run(frame, out, precision);
  const Job job = job_of(settings, frame, pool.workers);
  return try_out(trial_job(job, make_space(settings), final_options(options)), pool);
}

/// OUT/seed-S, of one of several searches.
std::string replicate_folder(const std::string& out, int64_t seed) {
  return (std::filesystem::path(out) / fmt::format("seed-{}", seed)).string();
}

/// The same search with other seeds, each in a folder of its own.
int run_replicates(const Frame& frame, const SearchOptions& options, const SearchSettings& settings, int64_t seed,
                   int64_t count) {
  std::vector<Outcome> outcomes;
  for (int64_t r = 1; r <= count; ++r) {
    SearchOptions one = options;
    one.out = replicate_folder(options.out, seed + r - 1);
    SearchSettings its = settings;
    its.seed = fmt::format("{}", seed + r - 1);
    if (!frame.quiet) tell("search {} of {}, seed {}, in {}\n", r, count, its.seed, one.out);
    const SearchEnd end = run_search(frame, one, std::move(its), /*alone=*/false);
    if (end.code != 0) return end.code;
    if (end.outcome) outcomes.push_back(*end.outcome);
  }
  if (!outcomes.empty()) report_spread(frame, outcomes, options.out);
  return 0;
}

/// Where the first of several searches is, which tells what all began with: they differ in nothing but the seed.
std::string first_folder(const SearchOptions& o) {
  return o.out.empty() || o.replicates == "1"
             ? o.out
             : replicate_folder(o.out, parse_int(o.settings.seed, 0, INT64_MAX, "--seed"));
}

/// The options of the run that is gone on with, but for those given; without one those given, which have to be enough.
SearchOptions of_run_or_given(const CLI::App& command, const Frame& frame, const SearchOptions& given) {
  SearchOptions options = given;
  const search::JournalContent known =
      given.resume && !given.out.empty() ? search::read_journal(first_folder(given)) : search::JournalContent{};
  if (!known.lines.empty()) {
    options = given_over(command, options_of_run(known.lines, first_folder(given)));
    options.settings.errors.clear();  // of the run's layers and tasks: taken from it once its settings are compared
    options.settings.measured_costs.clear();
  }
  if (!frame.kernel.empty()) options.kernel = frame.kernel == "auto" ? "" : frame.kernel;
  const std::string none = given.resume && !given.out.empty()
                               ? fmt::format("got none, and there is no run in {}{}", first_folder(given),
                                             given.replicates == "1" ? "" : " (--seed is that of the first)")
                               : "got none";
  if (options.settings.network.net.empty())
    input_error("--net", "wanted a network (kronbit search --help lists them), {}", none);
  if (options.settings.network.weights.empty())
    input_error("--weights", "wanted a file with trained weights, {}", none);
  return options;
}

int run(const Frame& frame, const SearchOptions& options) {
  stop_gently();
  set_time_limit(options.time_limit);
  if (options.out.empty() && !options.dry_run) input_error("--out", "wanted a folder for the run, got nothing");
  search::Budget::parse(options.budget);
  check_search(options);
  SearchSettings settings = options.settings;
  search::Curve::parse(settings.curve);
  check_job(job_of(settings, frame, 1));
  if (options.launch.empty() && !options.dry_run) open_device(settings.tune.device);  // elsewhere there may be one
  const int64_t replicates = parse_int(options.replicates, 1, 1000, "--replicates");
  const int64_t seed = parse_int(settings.seed, 0, INT64_MAX - replicates + 1, "--seed");
  if (!options.dry_run) {
    const std::vector<std::string> own = {"best", "work"};  // what a search makes in its folder
    known_journal(options.out, options.resume, own);
    for (int64_t r = 0; r < replicates && replicates > 1; ++r)
      known_journal(replicate_folder(options.out, seed + r), options.resume, own);
  }
  const std::string first = first_folder(options);
  std::vector<std::string> others;
  for (int64_t r = 1; r < replicates && !first.empty(); ++r) others.push_back(replicate_folder(options.out, seed + r));
  settings.tune.precision = resolve_precision(settings.tune.precision, settings.tune.device, first);
  const auto start = std::chrono::steady_clock::now();
  const bool begun = examine(settings, frame, first, others, options.dry_run);
  const double examining = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const bool measure_costs = settings.cost == kMeasuredCost && !begun;
  if (options.dry_run || measure_costs) {
    const Trial trial = try_evaluation(frame, options, first, settings);
    if (measure_costs) settings.measured_costs = task_seconds(trial, make_space(settings), settings.validation_images);
    if (options.dry_run) {
      if (begun) tell("{} has begun: this is the plan of all of it\n", first);
      print_plan(frame, options, settings, trial, examining);
      return 0;
    }
  }
  if (replicates > 1) return run_replicates(frame, options, settings, seed, replicates);
  return run_search(frame, options, std::move(settings)).code;
}

}  // namespace

void add_search(CLI::App& app, Frame& frame) {
  auto options = std::make_shared<SearchOptions>();
  CLI::App* command = add_command(
      app, frame, "search", "find the bits that every layer deserves",
      "Examples:\n"
      "  kronbit search --net resnet20 --weights w.safetensors --data cifar10:DIR --tasks 0,0.25,1,4 --budget 65evals "
      "--out runs/s\n"
      "  kronbit search --net resnet20 --weights resnet20-cifar10.safetensors --data cifar10:DIR --normalize imagenet "
      "\\\n"
      "                 --validation test:5000 --budget 2h --max-size 150KB --workers 2 --out runs/s2\n"
      "  kronbit search --resume --out runs/s2              goes on after any interruption, as the run was begun\n"
      "--net and --weights are required but with --resume; --dry-run shows the plan and how long it takes, and writes "
      "nothing.\n"
      "RUN/report.html is the answer, RUN/best/model.safetensors the packed network.",
      [&app, &frame, options] { return run(frame, of_run_or_given(*app.get_subcommand("search"), frame, *options)); });
  add_search_options(command, *options);
}

}  // namespace kronbit::app
