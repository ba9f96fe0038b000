// Records a table of trainings: chosen bit lists of a network, fine-tuned through tasks with one seed or several and
// measured at each task. Searches are then replayed on the table in milliseconds. What has been recorded is kept,
// whatever happens; the same command goes on, and with --from another machine does.
//
//   OUT/rows.csv                 the table (common/table_file.h)
//   OUT/sensitivity.json         of the layers, which the allocations in the table were made from
//   OUT/reference.safetensors    logits before quantization (apps/kronbit/evaluation/reference.h)
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

#include "apps/experiments/common/experiment.h"
#include "apps/experiments/common/recorded.h"
#include "apps/experiments/common/table_file.h"
#include "apps/experiments/common/table_plan.h"
#include "apps/kronbit/evaluation/reference.h"
#include "apps/kronbit/options/pictures.h"
#include "apps/kronbit/progress.h"
#include "apps/kronbit/workers/job_pool.h"
#include "nn/state_dict.h"
#include "quant/sensitivity.h"
#include "tensor/cpu.h"
#include "tensor/io/crc32.h"
#include "tensor/io/parse.h"
#include "tensor/io/safetensors.h"
#include "tensor/parallel.h"

namespace kronbit::experiments {
namespace {

constexpr int64_t kProbeImages = 200;  // of the sensitivities
constexpr double kLargest = 1e300;     // what a training that diverges may report
constexpr int kAttempts = 2;           // of a training that its process failed, before this is recorded

struct Options {
  app::NetworkOptions network;
  app::DataOptions data;
  app::TuneOptions tune;
  std::filesystem::path out, export_to, from;
  std::string tasks = "0,0.0625,0.25,1", configurations = "300", seeds = "3", workers = "1", threads = "1", limit = "0";
  bool dry_run = false;
  int64_t number(const std::string& text, const char* flag, int64_t low = 1) const {
    return parse_int(text, low, 1'000'000, flag);
  }
};

using Head = std::vector<std::pair<std::string, std::string>>;
/// Keys of the head that every number depends on.
const std::vector<std::string> kFixed = {"network",     "weights", "data",        "normalization", "validation images",
                                         "test images", "tasks",   "fine-tuning", "quantizer",     "configurations"};

std::string number_text(double value) { return fmt::format("{}", value); }

std::vector<double> tasks_of(const Options& options) {
  const std::vector<double> tasks = parse_numbers(options.tasks, 0, 1e6, "--tasks");
  for (size_t i = 1; i < tasks.size(); ++i)
    if (tasks[i] <= tasks[i - 1]) input_error("--tasks", "wanted rising numbers of epochs, got {}", options.tasks);
  return tasks;
}

app::Job job_of(const Options& options) {
  app::require_data(options.data, options.network.weights);
  app::Job job;
  job.network = options.network;
  job.network.weights = std::filesystem::absolute(options.network.weights).string();
  job.data = options.data;
  job.tune = options.tune;
  job.tune.precision = app::precision_name(app::parse_precision(options.tune.precision));
  job.epochs = tasks_of(options);
  job.test_every_task = true;
  job.reference = (options.out / "reference.safetensors").string();
  job.threads = static_cast<int>(options.number(options.threads, "--threads"));
  app::check_job(job);
  return job;
}

/// What is recorded, before the first row.
struct Subject {
  app::Job job;  ///< every training but for its bits and seed
  data::Splits splits;
  nn::Network net;
  std::vector<nn::ConvInfo> layers;
};

Subject open_subject(const Options& options) {
  app::Job job = job_of(options);
  if (job.data.normalize.empty())
    job.data.normalize = nn::weights_info(SafetensorsFile::open(options.network.weights)).normalization;
  data::Splits splits = app::open_data(job.data, app::input_size(job.network));
  app::check_pictures(job.data, {splits.train, splits.validation, splits.test});
  if (job.data.skip_bad) job.data.left_out = splits.left_out;
  nn::Network net = app::load_network(job.network, splits.train.classes()).net;
  std::vector<nn::ConvInfo> layers = nn::conv_layers(net);
  return {std::move(job), std::move(splits), std::move(net), std::move(layers)};
}

/// The command without the folders of this machine.
std::string command_of(const Options& o, const Subject& s) {
  const std::string data = o.data.data.find('/') == std::string::npos
                               ? o.data.data
                               : o.data.data.substr(0, o.data.data.find(':') + 1) + "DIR";
  const app::TuneOptions& t = s.job.tune;
  return fmt::format(
      "build/experiments/record_table --net {} --weights {} --data {} --normalize {} --validation {} --data-seed {} "
      "--optimiser {} --lr {} --momentum {} --weight-decay {} --batch {} --precision {} --tasks {} --configurations {} "
      "--seeds {} --workers {} --threads {}{} --out FOLDER",
      o.network.net, std::filesystem::path(o.network.weights).filename().string(), data, s.job.data.normalize,
      o.data.validation.empty() ? fmt::format("train:{}", s.splits.validation.size()) : o.data.validation, o.data.seed,
      t.optimiser, t.lr, t.momentum, t.weight_decay, t.batch, t.precision, o.tasks, o.configurations, o.seeds,
      o.workers, o.threads, o.data.skip_bad ? " --skip-bad" : "");
}

std::string accuracy_text(const nn::Accuracy& a) {
  return fmt::format("{} of {} right, cross-entropy {}", std::llround(a.top1 * static_cast<double>(a.images)), a.images,
                     a.loss);
}

Head head_of(const Options& o, Subject& s) {
  std::string tasks;
  for (const double epochs : s.job.epochs) tasks += (tasks.empty() ? "" : " ") + number_text(epochs);
  const app::TuneOptions& t = s.job.tune;
  const auto classify = [&](const Tensor& x) { return s.net.forward(x, {}).value(); };
  const auto accuracy = [&](const data::Dataset& images) {
    return accuracy_text(app::answers_of(classify, images, s.splits.normalization, &app::stop_requested).accuracy);
  };
  return {
      {"network", fmt::format("{}, {} classes", o.network.net, s.net.classes())},
      {"weights", fmt::format("{} crc32:{}", std::filesystem::path(o.network.weights).filename().string(),
                              hex_of(crc32_of_file(o.network.weights)))},
      {"data", fmt::format("{}, {} (images, labels, splits and normalization)",
                           o.data.data.substr(0, o.data.data.find(':')), s.splits.fingerprint)},
      {"normalization", s.splits.normalization.text()},
      {"validation images", fmt::format("{}", s.splits.validation.size())},
      {"test images", fmt::format("{}", s.splits.test.size())},
      {"floating point validation", accuracy(s.splits.validation)},
      {"floating point test", accuracy(s.splits.test)},
      {"tasks", tasks},
      {"fine-tuning",
       fmt::format("{}, constant learning rate {}, momentum {}, weight decay {}, batch {}, activations {}", t.optimiser,
                   t.lr, t.momentum, t.weight_decay, t.batch, t.precision)},
      {"quantizer", fmt::format("{}, blocks of {}, weights and activations", s.job.bits.mode, s.job.bits.block)},
      {"configurations", o.configurations},
      {"sampling", sampling_rule()},
      {"seconds", fmt::format("wall clock, {} trainings at a time with {} threads each", o.workers, o.threads)},
      {"machine", fmt::format("{}, {} threads", cpu().model, std::thread::hardware_concurrency())},
      {"program", program_version()},
      {"command", command_of(o, s)},
  };
}

quant::Sensitivity sensitivity_of(const Subject& s, const std::filesystem::path& path) {
  if (std::filesystem::exists(path)) {
    quant::Sensitivity known = quant::sensitivity_from_json(read_json(path), path.string());
    if (known.layers.size() == s.layers.size()) return known;
    input_error(path.string(), "layers: wanted {}, got {}", s.layers.size(), known.layers.size());
  }
  const data::Dataset images = s.splits.validation.spread(kProbeImages);
  quant::Sensitivity table =
      quant::measure_sensitivity(s.net, images, s.splits.normalization, {.stop = &app::stop_requested});
  table.network = s.job.network.net;
  return table;
}

/// The rows of one training; one without results when it failed.
class Rows {
 public:
  Rows(const TableEntry& entry, int64_t seed, const std::vector<std::string>& epochs)
      : entry_(entry), seed_(fmt::format("{}", seed)), epochs_(epochs) {}

  /// Rows that are there already, of a training that was cut off, stay as they are.
  void add_to(TableWriter& table, const app::JobPool::Outcome& outcome) const {
    std::vector<std::vector<std::string>> rows;
    std::string reason = outcome.reason;
    try {
      if (outcome.ok) rows = measured(outcome.result);
    } catch (const InputError& e) {
      reason = e.what();
    }
    if (rows.empty()) rows = {failed(reason)};
    for (const auto& row : rows)
      if (!table.has(digits(entry_.bits), seed_, row[table_column("epochs")])) table.add(row);
  }

 private:
  std::vector<std::vector<std::string>> measured(const Json& result) const {
    const std::string where = "evaluate";
    const Json& test = get_object(result, "test_tasks", where);
    const auto number = [&](const Json& json, const char* key, size_t task) {
      return get_numbers(json, key, 0, kLargest, where).at(task);
    };
    const auto correct = [&](const Json& json, size_t task) {
      const auto images = static_cast<double>(get_int(json, "images", 1, INT64_MAX, where));
      return fmt::format("{}", std::llround(number(json, "accuracies", task) * images));
    };
    std::vector<std::vector<std::string>> rows;
    for (size_t task = 0; task < epochs_.size(); ++task) {
      std::vector<std::string> row = start(epochs_[task]);
      const auto set = [&](const char* column, const std::string& text) { row[table_column(column)] = text; };
      set("validation_correct", correct(result, task));
      set("validation_nll", number_text(number(result, "losses", task)));
      set("validation_kl", number_text(number(result, "kl", task)));
      set("test_correct", correct(test, task));
      set("test_nll", number_text(number(test, "losses", task)));
      const Json& loss = get_array(result, "train_losses", where).at(task);
      if (!loss.is_null()) set("train_loss", number_text(as_number(loss, 0, kLargest, "train_losses", where)));
      set("train_seconds", fmt::format("{:.3f}", number(result, "train_seconds", task)));
      set("evaluation_seconds", fmt::format("{:.3f}", number(result, "evaluation_seconds", task)));
      set("status", "ok");
      rows.push_back(row);
    }
    return rows;
  }
  std::vector<std::string> failed(std::string reason) const {
    std::vector<std::string> row = start("");
    std::replace_if(
        reason.begin(), reason.end(), [](char c) { return c == ',' || c == '\n'; }, ';');
    row[table_column("status")] = "failed: " + reason;
    return row;
  }
  std::vector<std::string> start(const std::string& epochs) const {
    std::vector<std::string> row(table_columns().size());
    const auto set = [&](const char* column, const std::string& text) { row[table_column(column)] = text; };
    std::string w;
    for (const double v : entry_.w) w += (w.empty() ? "" : " ") + number_text(v);
    set("id", fmt::format("{}", entry_.id));
    set("kind", entry_.kind);
    set("bits", digits(entry_.bits));
    set("w", w);
    set("seed", seed_);
    set("epochs", epochs);
    set("bytes", fmt::format("{:.0f}", entry_.cost.bytes));
    set("bops", fmt::format("{:.0f}", entry_.cost.bops));
    set("average_bits", number_text(entry_.cost.average_bits));
    return row;
  }

  const TableEntry& entry_;
  std::string seed_;
  std::vector<std::string> epochs_;
};

class Recorder {
 public:
  Recorder(const Options& options, const app::Job& job, const std::vector<TableEntry>& plan, TableWriter& table)
      : job_(job),
        plan_(plan),
        table_(table),
        pool_({.workers = static_cast<int>(options.number(options.workers, "--workers"))}) {
    for (const double e : job.epochs) epochs_.push_back(number_text(e));
    for (const TableJob& planned : table_jobs(plan, options.number(options.seeds, "--seeds"))) {
      if (!table.done(digits(plan[planned.entry].bits), fmt::format("{}", planned.seed), epochs_))
        left_.push_back({planned, 1});
    }
    const auto limit = static_cast<size_t>(options.number(options.limit, "--limit", 0));
    if (limit > 0 && left_.size() > limit) left_.resize(limit);
  }

  /// Everything that is left, until a signal comes.
  void record() {
    const Clock::time_point start = Clock::now();
    size_t next = 0, finished = 0;
    while (!app::stop_requested && (next < left_.size() || pool_.running() > 0)) {
      while (next < left_.size() && pool_.running() < pool_.workers()) submit(next++);
      const std::optional<app::JobPool::Outcome> outcome = pool_.wait(0.5);
      if (!outcome || app::stop_requested) continue;
      if (!outcome->ok && outcome->fault == search::Fault::Input) throw InputError(outcome->reason);
      Attempt& attempt = left_[static_cast<size_t>(outcome->tag)];
      const TableEntry& entry = plan_[attempt.job.entry];
      if (!outcome->ok && outcome->fault != search::Fault::Training && attempt.number < kAttempts) {
        ++attempt.number;
        submit(static_cast<size_t>(outcome->tag));
        continue;
      }
      Rows(entry, attempt.job.seed, epochs_).add_to(table_, *outcome);
      ++finished;
      const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
      app::tell(
          "{}/{} id {} {} {} seed {}: {}; {:.0f} s, {} left\n", finished, left_.size(), entry.id, entry.kind,
          digits(entry.bits), attempt.job.seed, outcome->ok ? "ok" : outcome->reason, outcome->seconds,
          app::duration_text(seconds / static_cast<double>(finished) * static_cast<double>(left_.size() - finished)));
    }
    pool_.kill_all();
  }
  size_t left() const { return left_.size(); }

 private:
  using Clock = std::chrono::steady_clock;
  struct Attempt {
    TableJob job;
    int number = 1;
  };
  void submit(size_t index) {
    app::Job job = job_;
    job.layers = plan_[left_[index].job.entry].bits;
    job.seed = static_cast<uint64_t>(left_[index].job.seed);
    pool_.submit(job, static_cast<int64_t>(index));
  }

  const app::Job& job_;
  const std::vector<TableEntry>& plan_;
  TableWriter& table_;
  app::JobPool pool_;
  std::vector<std::string> epochs_;
  std::vector<Attempt> left_;
};

void print_plan(const std::vector<TableEntry>& plan, const std::vector<TableJob>& jobs) {
  for (const TableEntry& e : plan)
    fmt::print("{} {} {} {:.3f} bits {:.0f} bytes{}\n", e.id, e.kind, digits(e.bits), e.cost.average_bits, e.cost.bytes,
               e.repeated ? " all seeds" : "");
  fmt::print("{} configurations, {} trainings\n", plan.size(), jobs.size());
}

int run(const Options& options) {
  if (options.out.empty()) input_error("--out", "wanted the folder of the table, got nothing");
  const std::filesystem::path rows = options.out / "rows.csv";
  if (!options.export_to.empty()) {
    publish(options.export_to, exported_table(read_table(rows)));
    return 0;
  }
  if (options.network.weights.empty()) input_error("--weights", "wanted a trained network, got nothing");
  const int64_t seeds = options.number(options.seeds, "--seeds");
  const int64_t count = options.number(options.configurations, "--configurations");
  set_threads(
      static_cast<int>(options.number(options.workers, "--workers") * options.number(options.threads, "--threads")));
  std::optional<Subject> subject = open_subject(options);
  const std::filesystem::path sensitivity_path = options.out / "sensitivity.json";
  const bool from = !options.from.empty() && !std::filesystem::exists(rows);
  const quant::Sensitivity sensitivity =
      sensitivity_of(*subject, from ? sensitivity_beside(options.from) : sensitivity_path);
  std::vector<TableEntry> plan = make_table_plan(subject->layers, count, sensitivity);
  std::optional<TableContent> begun;
  if (from || std::filesystem::exists(rows)) {
    const std::filesystem::path& file = from ? options.from : rows;
    begun = read_table(file);
    keep_recorded(plan, subject->layers, *begun, file.string());
  }
  if (options.dry_run) {
    print_plan(plan, table_jobs(plan, seeds));
    return 0;
  }
  make_folder(options.out);
  const FolderLock lock(options.out);
  remove_stale_temporaries(options.out);
  if (from) publish(rows, recordable_table(*begun));
  TableWriter table(rows, head_of(options, *subject), kFixed);
  publish(sensitivity_path, dump_pretty(quant::to_json(sensitivity)));
  const app::Job job = subject->job;
  subject.reset();  // the trainings need the memory
  Recorder recorder(options, job, plan, table);
  recorder.record();
  if (!app::stop_requested) return 0;
  app::tell("stopped; the same command goes on\n");
  return app::stop_exit_code();
}

int parse_and_run(int argc, char** argv) {
  CLI::App app{"Records a table of trainings, for searches to be replayed on", "record_table"};
  app.footer("Exit codes: 0 done, 1 failed, 2 wrong input, 130/143 stopped by a signal; the same command goes on.");
  Options o;
  o.network.net = "resnet20";
  app::add_network_options(&app, o.network, false);
  app.get_option("--net")->required(false)->capture_default_str();
  app::add_data_options(&app, o.data);
  app::add_tune_options(&app, o.tune);
  app.add_option("--out", o.out, "folder of the table");
  app.add_option("--tasks", o.tasks, "epochs of the tasks, rising");
  app.add_option("--configurations", o.configurations, "different bit lists");
  app.add_option("--seeds", o.seeds, "trainings of every third of them");
  app.add_option("--workers", o.workers, "trainings at a time");
  app.add_option("--threads", o.threads, "of each");
  app.add_option("--limit", o.limit, "end after so many trainings; 0 = all");
  app.add_option("--from", o.from, "begin with the rows of this exported table, and the sensitivities beside it");
  app.add_option("--export", o.export_to, "write what has been recorded as a table without checksums, record nothing");
  app.add_flag("--dry-run", o.dry_run, "print the plan, record nothing");
  return parse_options(app, argc, argv, [&] { return run(o); });
}

}  // namespace
}  // namespace kronbit::experiments

int main(int argc, char** argv) {
  using namespace kronbit::experiments;
  return guarded("record_table", [&] {
    // A job pool starts this very program for its jobs, which are the program's.
    if (argc > 1 && std::string_view(argv[1]) == "evaluate") execv(kronbit_program().c_str(), argv);
    return parse_and_run(argc, argv);
  });
}
