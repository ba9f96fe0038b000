// kronbit search: explores bit assignments, ranks them, fine-tunes the best and writes the report.
#include <algorithm>

#include "apps/kronbit/best.h"
#include "apps/kronbit/finals.h"
#include "apps/kronbit/job_pool.h"
#include "apps/kronbit/progress.h"
#include "apps/kronbit/replicates.h"
#include "apps/kronbit/report.h"
#include "apps/kronbit/search_settings.h"
#include "apps/kronbit/words.h"
#include "nn/state_dict.h"
#include "nn/train.h"
#include "quant/sensitivity.h"
#include "search/journal.h"
#include "tensor/io/crc32.h"
#include "tensor/io/file.h"
#include "tensor/io/parse.h"
#include "tensor/io/safetensors.h"
#include "tensor/memory.h"

namespace kronbit::app {
namespace {

struct Options {
  SearchSettings settings;
  std::string budget = "40evals", workers = "1", launch, deadline = "auto", out, final_top = "3", final_epochs,
              final_schedule = "cosine", final_seeds = "1", replicates = "1";
  bool resume = false, dry_run = false;
};

/// The times of --profile; without it those that the run began with.
void examine_profile(SearchSettings& s, const nn::Network& net, const search::JournalContent& known) {
  if (!s.wish.profile.empty()) s.latency = LatencyModel::read(s.wish.profile, net);
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
  s.errors =
      quant::measure_sensitivity(net, quant::probe_images(splits.train, images), splits.normalization, options).mse;
}

/// Fills in what only the files can tell: fingerprints, numbers of images, the accuracy before quantization.
void examine(SearchSettings& s, const Frame& frame, const std::filesystem::path& out, bool dry_run) {
  const std::string weights_normalization = nn::weights_info(SafetensorsFile::open(s.network.weights)).normalization;
  s.weights_crc = "crc32:" + hex_of(crc32_of_file(s.network.weights));
  s.network.weights = std::filesystem::absolute(s.network.weights).lexically_normal().string();
  const data::Splits splits = open_data(s.data, weights_normalization);
  s.fingerprint = splits.fingerprint;
  s.normalization = splits.normalization.text();
  s.train_images = splits.train.size();
  s.validation_images = splits.validation.size();
  s.test_images = splits.test.size();
  nn::Network net = load_network(s.network, splits.train.classes()).net;
  s.classes = net.classes();
  if (s.classes < splits.train.classes()) {
    input_error("--net", "classes: wanted at least the data's {}, got {}", splits.train.classes(), s.classes);
  }
  const search::JournalContent known = search::read_journal(out);
  examine_profile(s, net, known);
  make_space(s);  // mistakes in curve, limits and layers show before anything is computed or written
  if (!known.lines.empty()) {
    // Already measured when the run began; were anything else different, the comparison of settings would say so.
    const Json& settings = get_object(known.lines[0], "settings", "journal");
    if (has(settings, "fp32_validation")) {
      s.fp32_validation = get_number(settings, "fp32_validation", 0, 1, "journal");
      if (has(settings, "errors")) s.errors = errors_from_json(settings, "journal");
      return;
    }
  }
  if (!dry_run) make_folder(out);  // before anything is computed in vain
  examine_sensitivity(s, frame, net, splits);
  if (dry_run) return;
  s.fp32_validation = nn::evaluate(net, splits.validation, splits.normalization, 250, {}, &stop_requested,
                                   parse_precision(s.tune.precision))
                          .top1;
}

PoolOptions pool_options(const Options& options) {
  PoolOptions pool;
  pool.workers = static_cast<int>(parse_int(options.workers, 1, 1024, "--workers"));
  pool.launch = split_words(options.launch, "--launch");
  pool.deadlines = Deadlines::parse(options.deadline);
  return pool;
}

/// What evaluations are calculated with: as the run began, where it is resumed and --kernel does not name another.
Numerics numerics_of(const Frame& frame, const Options& options, const std::string& precision) {
  const search::JournalContent known = search::read_journal(options.out);
  if (known.lines.empty()) return numerics_here(precision);
  const Json& settings = get_object(known.lines[0], "settings", "journal");
  if (!frame.kernel.empty()) return numerics_here(precision);  // if it is another, it will be refused
  return numerics_from_json(get_object(settings, "numerics", "journal"), "journal");
}

FinalOptions final_options(const Options& options) {
  FinalOptions final;
  final.top = static_cast<int>(parse_int(options.final_top, 0, 100, "--final-top"));
  if (!options.final_epochs.empty()) final.epochs = parse_number(options.final_epochs, 1e-6, 1e6, "--final-epochs");
  nn::parse_schedule(options.final_schedule);
  final.schedule = options.final_schedule;
  final.seeds = static_cast<int>(parse_int(options.final_seeds, 1, 100, "--final-seeds"));
  return final;
}

int print_plan(const Frame& frame, const SearchSettings& s, const SearchSpace& space, const search::Budget& budget) {
  const search::Explorer explorer(space.candidates, space.tries, space.explorer);
  const search::Plan plan = explorer.plan_round();
  Json runs = Json::array();
  for (const search::PlannedRun& run : plan.runs) {
    runs.push_back(
        {{"bits", space.candidates[run.candidate].bits}, {"task", run.task}, {"reason", search::name_of(run.reason)}});
  }
  if (frame.json) {
    print_json({{"candidates", space.candidates.size()},
                {"layers", space.layers.size()},
                {"epochs", space.epochs},
                {"costs", space.costs},
                {"budget", budget.text()},
                {"first_round", runs}});
    return 0;
  }
  double least = 1e300, most = 0;
  for (const search::Candidate& c : space.candidates) {
    least = std::min(least, c.cost.bytes);
    most = std::max(most, c.cost.bytes);
  }
  fmt::print("{}: {} layers, {} distinct configurations on {}, {:.3f} to {:.3f} MB\n", s.network.net,
             space.layers.size(), space.candidates.size(), space.curve.text(), least / 1e6, most / 1e6);
  fmt::print("data: {} training, {} validation, {} test images\n", s.train_images, s.validation_images, s.test_images);
  for (size_t t = 0; t < space.epochs.size(); ++t) {
    fmt::print("task {}: {} epochs, cost {:.4g} = {:.1f} % of the last\n", t, space.epochs[t], space.costs[t],
               100 * space.costs[t] / space.costs.back());
  }
  fmt::print("budget: {}; the first round:\n", budget.text());
  for (const search::PlannedRun& run : plan.runs) {
    fmt::print("  {:<30} to task {} ({})\n", format_bits(space.candidates[run.candidate].bits), run.task,
               search::name_of(run.reason));
  }
  fmt::print("nothing was written\n");
  return 0;
}

class Session {
 public:
  Session(const Frame& frame, const Options& options, SearchSettings settings)
      : frame_(frame),
        settings_(std::move(settings)),
        space_(make_space(settings_)),
        pool_(pool_options(options)),
        final_(final_options(options)),
        numerics_(numerics_of(frame, options, settings_.tune.precision)),
        run_(spec(options)),
        work_(run_.folder() / "work") {
    make_folder(work_);
    remove_stale_temporaries(work_);
    pool_.numerics = numerics_;
    for (const Json& line : run_.lines()) learn(line);
  }

  /// Nothing before the first result.
  std::optional<Outcome> outcome() const {
    const Finals finals = read_finals(run_.lines(), space_);
    Outcome o;
    if (const FinalRow* row = finals.champion(space_)) {
      o = {row->bits, row->bytes, *std::max_element(row->validation.begin(), row->validation.end()), 0,
           row->mean_top1()};
    } else if (const auto& best = run_.state().best()) {
      o = {candidates()[best->candidate].bits, candidates()[best->candidate].cost.bytes, best->accuracy, 0, {}};
    } else {
      return std::nullopt;
    }
    o.score = search::score(space_.goal, o.validation, o.bits, space_.cost_of(o.bits));
    return o;
  }

  /// alone: not one of several, whose --json would be a line too many.
  int run(bool alone = true) {
    if (run_.resumed()) {
      fmt::print(stderr, "going on with {} evaluations{}\n", run_.state().evaluations(),
                 run_.repaired() ? " (a torn last line was moved to journal.torn)" : "");
      if (run_.state().best()) refresh_best(*run_.state().best());
    }
    const auto ended = explore();
    space_.candidates = candidates();
    if (ended == search::Ended::Stopped) return stopped();
    if (final_.top > 0 && run_.state().evaluations() > 0 &&
        !run_finals(run_, settings_, space_, frame_, final_, pool_)) {
      return stopped();
    }
    std::error_code ignored;
    std::filesystem::remove_all(work_, ignored);
    write_report(run_.folder());
    if (alone || !frame_.json) print_result();
    return 0;
  }

 private:
  /// Those added on the way too.
  const std::vector<search::Candidate>& candidates() const { return run_.explorer().candidates(); }

  search::SearchSpec spec(const Options& options) const {
    Json settings = to_json(settings_);
    settings["numerics"] = to_json(numerics_);
    return {options.out,   options.resume,    std::move(settings), search::Budget::parse(options.budget),
            space_.epochs, space_.candidates, space_.tries,        space_.explorer};
  }

  /// What later evaluations may be expected to take.
  void learn(const Json& line) {
    if (line["event"] == "evaluation")
      pool_.deadlines.learn(line["epochs"].get<double>(), line["seconds"].get<double>());
  }

  search::Ended explore() {
    ProcessEvaluator evaluator(job_of(settings_, frame_, pool_.workers), space_.epochs, work_, pool_);
    Progress progress(frame_, "search", "evaluations");
    search::Callbacks callbacks;
    callbacks.stop = [] { return stop_requested.load(); };
    callbacks.journalled = [&](const Json& line, const search::Progress& p) { show(progress, line, p); };
    callbacks.improved = [&](const search::Best& best) { refresh_best(best); };
    return run_.explore(evaluator, callbacks);
  }

  void show(Progress& progress, const Json& line, const search::Progress& p) {
    learn(line);
    if (line["event"] == "failed") progress.log(fmt::format("failed: {}", line.value("reason", "")));
    if (line["event"] == "evaluation") {
      progress.log(fmt::format("{:>4}  {:<32} {:>6} epochs  {:.2f} %  {:.0f} s", p.evaluations,
                               format_bits(line["bits"].get<Bits>()), line["epochs"].get<double>(),
                               100 * line["accuracy"].get<double>(), line["seconds"].get<double>()));
      // Only what best/ may need is kept. Evaluations that have finished out of order are not in the journal yet.
      const std::filesystem::path packed = packed_path(work_, line["bits"].get<Bits>(), line["task"].get<int>());
      std::error_code ignored;
      if (!p.best || packed != packed_of(*p.best)) std::filesystem::remove(packed, ignored);
    }
    const search::Budget& budget = run_.state().budget();
    const std::string note = p.best ? fmt::format("best {} {:.2f} %", format_bits(candidates()[p.best->candidate].bits),
                                                  100 * p.best->accuracy)
                                    : "";
    if (budget.evaluations > 0) {
      progress.update(p.evaluations, budget.evaluations, note);
    } else {
      progress.update(static_cast<int64_t>(p.seconds), static_cast<int64_t>(budget.seconds), note);
    }
  }

  std::filesystem::path packed_of(const search::Best& best) const {
    return packed_path(work_, candidates()[best.candidate].bits, best.task);
  }

  void refresh_best(const search::Best& best) {
    const std::filesystem::path packed = packed_of(best);
    if (!std::filesystem::exists(packed)) return;
    publish_best(run_.folder(), packed);
    std::error_code ignored;
    if (!best_packed_.empty() && best_packed_ != packed) std::filesystem::remove(best_packed_, ignored);
    best_packed_ = packed;
  }

  int stopped() {
    write_report(run_.folder());
    fmt::print(stderr, "stopped after {} evaluations; the same command with --resume goes on\n",
               run_.state().evaluations());
    return stop_exit_code();
  }

  void print_result() {
    const Finals finals = read_finals(run_.lines(), space_);
    const std::string report = (run_.folder() / "report.html").string();
    if (!frame_.json) {
      fmt::print("{}", format_finals(finals));
      const std::string sentence = final_verdict(finals, space_);
      if (!sentence.empty()) fmt::print("{} {}\n", format_bits(finals.champion(space_)->bits), sentence);
      fmt::print("{} evaluations in {}, peak memory of one {:.0f} MB, best/ and report.html in {}\n",
                 run_.state().evaluations(), settings_.tune.precision,
                 static_cast<double>(peak_resident_bytes_of_children()) / 1e6, run_.folder().string());
      return;
    }
    Json rows = Json::array();
    for (const FinalRow& row : finals.rows) {
      rows.push_back({{"kind", row.kind},
                      {"bits", row.bits},
                      {"accuracy", row.estimate},
                      {"accuracy_sd", row.sd},
                      {"top1", row.mean_top1()},
                      {"top1_sd", row.sd_top1()},
                      {"bytes", row.bytes},
                      {"bops", row.bops}});
    }
    print_json({{"evaluations", run_.state().evaluations()},
                {"precision", settings_.tune.precision},
                {"peak_bytes", peak_resident_bytes_of_children()},
                {"fp32_top1", finals.fp32_top1 ? Json(*finals.fp32_top1) : Json(nullptr)},
                {"finals", rows},
                {"verdict", final_verdict(finals, space_)},
                {"report", report}});
  }

  const Frame& frame_;
  SearchSettings settings_;
  SearchSpace space_;
  PoolOptions pool_;
  FinalOptions final_;
  Numerics numerics_;
  search::SearchRun run_;
  std::filesystem::path work_;
  std::filesystem::path best_packed_;  // what best/ was last made from
};

/// The same search with other seeds, each in a folder of its own.
int run_replicates(const Frame& frame, const Options& options, const SearchSettings& settings, int64_t count) {
  const int64_t seed = parse_int(settings.seed, 0, INT64_MAX - count, "--seed");
  std::vector<Outcome> outcomes;
  for (int64_t r = 1; r <= count; ++r) {
    Options one = options;
    one.out = (std::filesystem::path(options.out) / fmt::format("seed-{}", seed + r - 1)).string();
    SearchSettings its = settings;
    its.seed = fmt::format("{}", seed + r - 1);
    if (!frame.quiet) fmt::print(stderr, "search {} of {}, seed {}, in {}\n", r, count, its.seed, one.out);
    Session session(frame, one, std::move(its));
    if (const int code = session.run(/*alone=*/false); code != 0) return code;
    if (const auto outcome = session.outcome()) outcomes.push_back(*outcome);
  }
  if (!outcomes.empty()) report_spread(frame, outcomes, options.out);
  return 0;
}

int run(const Frame& frame, const Options& options) {
  if (options.out.empty() && !options.dry_run) input_error("--out", "wanted a folder for the run, got nothing");
  const search::Budget budget = search::Budget::parse(options.budget);
  pool_options(options);
  final_options(options);
  SearchSettings settings = options.settings;
  search::Curve::parse(settings.curve);
  check_job(job_of(settings, frame, 1));
  if (!options.out.empty()) {
    if (!options.resume && !options.dry_run && !search::read_journal(options.out).lines.empty()) {
      input_error("--out", "{} holds a run already: add --resume to go on with it, or choose another folder",
                  options.out);
    }
  }
  const int64_t replicates = parse_int(options.replicates, 1, 1000, "--replicates");
  // Those of a replicated search differ in nothing but the seed, so the first tells what all began with.
  const std::string first = replicates == 1 || options.out.empty()
                                ? options.out
                                : (std::filesystem::path(options.out) / fmt::format("seed-{}", settings.seed)).string();
  settings.tune.precision = resolve_precision(settings.tune.precision, settings.tune.device, first);
  examine(settings, frame, first, options.dry_run);
  if (replicates > 1 && !options.dry_run) return run_replicates(frame, options, settings, replicates);
  if (options.dry_run) return print_plan(frame, settings, make_space(settings), budget);
  Session session(frame, options, std::move(settings));
  return session.run();
}

}  // namespace

void add_search(CLI::App& app, Frame& frame) {
  auto options = std::make_shared<Options>();
  CLI::App* command = add_command(
      app, frame, "search", "find the bits that every layer deserves",
      "Examples:\n"
      "  kronbit search --net resnet20 --weights w.safetensors --data cifar10:DIR --tasks 0,0.25,1,4 --budget 65evals "
      "--out runs/s\n"
      "  kronbit search --net resnet20 --weights resnet20-cifar10.safetensors --data cifar10:DIR --normalize imagenet "
      "\\\n"
      "                 --validation test:5000 --budget 2h --max-size 150KB --workers 2 --out runs/s2\n"
      "  the same command with --resume goes on after any interruption; --dry-run shows the plan and writes nothing.\n"
      "RUN/report.html is the answer, RUN/best/model.safetensors the packed network.",
      [&frame, options] { return run(frame, *options); });
  add_search_settings(command, options->settings);
  command->add_option("--budget", options->budget, "in all, over resumes: 65evals, 30min, 2h");
  command->add_option("--out", options->out, "run folder");
  command->add_flag("--resume", options->resume, "go on with the run in --out, if there is one");
  command->add_flag("--dry-run", options->dry_run, "show space, costs and first round; write nothing");
  command->add_option("--workers", options->workers, "evaluations at the same time");
  command->add_option("--launch", options->launch,
                      "run command put before each evaluation: \"srun --exclusive -N1 -n1\"; {worker} is its number");
  command->add_option("--deadline", options->deadline,
                      "of one evaluation: auto (10 times what is expected), 0 (none) or a time such as 10min");
  command->add_option("--final-top", options->final_top, "configurations to fine-tune and test at the end");
  command->add_option("--final-epochs", options->final_epochs, "of that fine-tuning (default: the last task's)");
  command->add_option("--final-schedule", options->final_schedule, "learning rate of that fine-tuning");
  command->add_option("--final-seeds", options->final_seeds, "trainings of each, for mean and sd");
  command->add_option("--replicates", options->replicates,
                      "searches with as many seeds, in OUT/seed-S each; ends with their spread");
}

}  // namespace kronbit::app
