#include "apps/kronbit/search/final_trainings.h"

#include <algorithm>

#include "apps/kronbit/progress.h"
#include "apps/kronbit/search/best.h"
#include "nn/train.h"
#include "tensor/io/file.h"
#include "tensor/rng.h"

namespace kronbit::app {
namespace {

constexpr const char* kFinal = ".final";  // in the names of what final trainings leave

void record_fp32(search::SearchRun& run, const SearchSettings& settings) {
  for (const Json& line : run.lines()) {
    if (line["event"] == "fp32") return;
  }
  const Job job = job_of(settings, {}, 1);
  const data::Splits splits = open_data(job.data, input_size(job.network));
  check_inputs(job, splits);
  nn::Network net = load_network(job.network).net;
  const nn::Accuracy a = nn::evaluate(net, splits.test, splits.normalization, 250, {}, &stop_requested,
                                      parse_precision(settings.tune.precision));
  run.record({{"event", "fp32"}, {"top1", a.top1}, {"top5", a.top5}, {"loss", a.loss}, {"images", a.images}});
}

/// The trainings of all rows and seeds: what the journal does not have yet is trained, and journalled in their order.
class FinalTrainings {
 public:
  FinalTrainings(search::SearchRun& run, const SearchSettings& settings, const SearchSpace& space, const Frame& frame,
                 const FinalOptions& options, const PoolOptions& pool)
      : run_(run),
        settings_(settings),
        space_(space),
        frame_(frame),
        options_(options),
        workers_(pool.workers),
        pool_(pool),
        rows_(choose_finals(space, run.state(), options)) {
    for (int seed = 1; seed <= options.seeds; ++seed) {
      for (const FinalRow& row : rows_) tasks_.push_back({&row, seed});
    }
    for (Task& task : tasks_) task.breakdowns = known_breakdowns(task);
    record_choice();
    finals_ = read_finals(run_.lines(), space_);
  }

  /// False when a signal or the time limit ended it early.
  bool train() {
    Progress progress(frame_, "final", "trainings");
    const auto total = static_cast<int64_t>(tasks_.size());
    size_t started = 0, journalled = 0;
    while (journalled < (no_further_ ? started : tasks_.size())) {
      progress.update(static_cast<int64_t>(journalled), total);
      const bool closing = time_is_up();
      if (stop_requested || (closing && pool_.running() == 0)) return false;
      for (; !closing && !no_further_ && started < tasks_.size() && pool_.running() < pool_.workers(); ++started) {
        if (needs_training(started)) pool_.submit(job(tasks_[started]), static_cast<int64_t>(started));
      }
      if (pool_.running() > 0) {
        if (auto outcome = pool_.wait(0.2)) take(std::move(*outcome), progress);
      }
      while (journalled < started && record(tasks_[journalled])) ++journalled;
    }
    progress.update(static_cast<int64_t>(journalled), total);
    // What failed after the time was up and could be tried again is not done.
    return !time_is_up() || no_further_ || std::none_of(failed_.begin(), failed_.end(), [](const Task* task) {
      return task->failures < search::kAttempts;
    });
  }

  int64_t peak_bytes() const { return pool_.peak_bytes(); }
  bool met_wrong_input() const { return wrong_input_; }

  /// One line on what failed; "" when nothing did.
  std::string problem() const {
    if (failed_.empty()) return "";
    const Task& first = *failed_.front();
    const std::string bits = format_bits(first.row->bits);
    return fmt::format("[search] {}failed: {}; --resume tries again",
                       failed_.size() == 1
                           ? fmt::format("the final training of {} ", bits)
                           : fmt::format("{} final trainings failed, the first, of {}, ", failed_.size(), bits),
                       first.outcome->reason);
  }

 private:
  struct Task {
    const FinalRow* row;
    int seed;
    std::optional<JobPool::Outcome> outcome = {};
    int failures = 0;    ///< attempts of this process
    int breakdowns = 0;  ///< of the training itself, those of earlier processes too
  };

  FinalTuning tuning() const { return {epochs(), options_.schedule}; }

  /// In the journal: what broke down once would again with the same seed.
  int known_breakdowns(const Task& task) const {
    return static_cast<int>(std::count_if(run_.lines().begin(), run_.lines().end(), [&](const Json& line) {
      return line["event"] == "final_failed" && line.value("fault", "") == search::name_of(search::Fault::Training) &&
             line["bits"] == Json(task.row->bits) && line["seed"] == task.seed && tuning_of(line) == tuning();
    }));
  }

  /// Unless it is the journal's last.
  void record_choice() {
    if (rows_.empty()) return;
    Json rows = Json::array();
    for (const FinalRow& row : rows_) rows.push_back({{"kind", row.kind}, {"bits", row.bits}});
    const auto is_choice = [](const Json& line) { return line["event"] == "finals"; };
    const auto last = std::find_if(run_.lines().rbegin(), run_.lines().rend(), is_choice);
    if (last != run_.lines().rend() && get(*last, "rows", "journal") == rows && tuning_of(*last) == tuning()) return;
    run_.record({{"event", "finals"}, {"epochs", epochs()}, {"schedule", options_.schedule}, {"rows", rows}});
  }

  /// A failure is journalled and tried again, three times in all, after a breakdown with another seed.
  void take(JobPool::Outcome outcome, Progress& progress) {
    Task& task = tasks_[static_cast<size_t>(outcome.tag)];
    if (!outcome.ok && outcome.fault == search::Fault::Input) {
      Json line = {{"event", "input"}, {"reason", outcome.reason}, {"worker", outcome.worker}};
      if (!outcome.result.is_null()) line.update(outcome.result);
      run_.record(line);
      no_further_ = wrong_input_ = true;
    } else if (!outcome.ok) {
      ++task.failures;
      if (outcome.fault == search::Fault::Training) ++task.breakdowns;
      progress.log(fmt::format("failed: {}", outcome.reason));
      run_.record({{"event", "final_failed"},
                   {"kind", task.row->kind},
                   {"bits", task.row->bits},
                   {"seed", task.seed},
                   {"epochs", epochs()},
                   {"schedule", options_.schedule},
                   {"attempt", task.failures},
                   {"fault", search::name_of(outcome.fault)},
                   {"reason", outcome.reason},
                   {"seconds", outcome.seconds},
                   {"worker", outcome.worker}});
      if (task.failures < search::kAttempts && !no_further_ && !time_is_up())
        return pool_.submit(job(task), outcome.tag);
      no_further_ = no_further_ || outcome.fault == search::Fault::Refused;  // no machine that was asked can do it
    }
    task.outcome = std::move(outcome);
  }

  double epochs() const { return options_.epochs > 0 ? options_.epochs : space_.epochs.back(); }

  bool in_journal(const Task& task) const {
    if (finals_.tuning != tuning()) return false;
    return std::any_of(finals_.rows.begin(), finals_.rows.end(), [&](const FinalRow& row) {
      return row.kind == task.row->kind && row.bits == task.row->bits &&
             std::find(row.seeds.begin(), row.seeds.end(), task.seed) != row.seeds.end();
    });
  }

  /// The journal's line of the same training, for this row or another; nullptr when there is none.
  const Json* same_training(const Task& task) const {
    for (const Json& line : run_.lines()) {
      if (line["event"] == "final" && line["bits"] == Json(task.row->bits) && line["seed"] == task.seed &&
          tuning_of(line) == tuning())
        return &line;
    }
    return nullptr;
  }

  /// Unless the journal has the training, or an earlier task is about to have it.
  bool needs_training(size_t task) const {
    const auto at = tasks_.begin() + static_cast<std::ptrdiff_t>(task);
    return !same_training(*at) && std::none_of(tasks_.begin(), at, [&](const Task& earlier) {
      return earlier.row->bits == at->row->bits && earlier.seed == at->seed;
    });
  }

  Job job(const Task& task) const {
    Job job = job_of(settings_, frame_, workers_);
    job.layers = task.row->bits;
    job.epochs = {epochs()};
    job.schedule = options_.schedule;
    Rng seeds(space_.explorer.strategy.seed, Purpose::Search, {3, static_cast<uint64_t>(task.seed)});
    for (int i = 0; i < task.breakdowns; ++i) seeds.next();
    job.seed = seeds.next() >> 1;
    job.test = true;
    job.keep = final_path(run_.folder(), task.row->bits, task.seed, tuning()).string();
    return job;
  }

  /// The same training, of another row, has failed.
  bool failed_elsewhere(const Task& task) const {
    return std::any_of(failed_.begin(), failed_.end(), [&](const Task* other) {
      return other->row->bits == task.row->bits && other->seed == task.seed;
    });
  }

  /// True when the journal has the task, now or before, or it has failed; false while its training runs.
  bool record(const Task& task) {
    if (in_journal(task)) return true;
    const FinalRow* row = task.row;
    const std::optional<JobPool::Outcome>& outcome = task.outcome;
    const Json* same = same_training(task);
    if (!same && !outcome) return failed_elsewhere(task);
    if (!same && !outcome->ok) {
      failed_.push_back(&task);
      return true;
    }
    const Json& test = same ? *same : get_object(outcome->result, "test", "evaluate");
    run_.record({{"event", "final"},
                 {"kind", row->kind},
                 {"bits", row->bits},
                 {"seed", task.seed},
                 {"estimate", row->estimate},
                 {"sd", row->sd},
                 {"epochs", epochs()},
                 {"schedule", options_.schedule},
                 {"validation", same ? get_number(*same, "validation", 0, 1, "journal")
                                     : get_numbers(outcome->result, "accuracies", 0, 1, "evaluate").at(0)},
                 {"top1", test["top1"]},
                 {"top5", test["top5"]},
                 {"loss", test["loss"]},
                 {"images", test["images"]},
                 {"seconds", same ? 0.0 : outcome->seconds}});
    finals_ = read_finals(run_.lines(), space_);
    return true;
  }

  search::SearchRun& run_;
  const SearchSettings& settings_;
  const SearchSpace& space_;
  const Frame& frame_;
  const FinalOptions& options_;
  int workers_;
  JobPool pool_;
  std::vector<FinalRow> rows_;
  std::vector<Task> tasks_;
  std::vector<const Task*> failed_;
  bool no_further_ = false;   // training begins
  bool wrong_input_ = false;  // was met
  Finals finals_;             // as the journal has them
};

}  // namespace

FinalsEnd run_finals(search::SearchRun& run, const SearchSettings& settings, const SearchSpace& space,
                     const Frame& frame, const FinalOptions& options, const PoolOptions& pool) {
  if (time_is_up()) return {.stopped = true};
  record_fp32(run, settings);
  FinalTrainings trainings(run, settings, space, frame, options, pool);
  if (!trainings.train()) return {.stopped = true};
  publish_champion(run, space);
  return {.problem = trainings.problem(), .peak_bytes = trainings.peak_bytes(), .input = trainings.met_wrong_input()};
}

bool publish_champion(const search::SearchRun& run, const SearchSpace& space) {
  const Finals finals = read_finals(run.lines(), space);
  const FinalRow* champion = finals.champion(space);
  if (!champion) return false;
  const std::filesystem::path packed =
      final_path(run.folder(), champion->bits, champion->seeds[champion->best_training()], finals.tuning);
  if (std::filesystem::exists(packed)) publish_best(run.folder(), packed);
  return true;
}

std::filesystem::path final_path(const std::filesystem::path& run, const Bits& bits, int seed,
                                 const FinalTuning& tuning) {
  return packed_path(run / "work", bits, 0)
      .replace_extension(fmt::format("{}{}-{}-{}.safetensors", kFinal, seed, tuning.epochs, tuning.schedule));
}

void clear_work(const std::filesystem::path& run) {
  const std::filesystem::path work = run / "work";
  if (!std::filesystem::is_directory(work)) return;
  remove_stale_temporaries(work);
  std::error_code ignored;
  std::vector<std::filesystem::path> done;
  for (const auto& entry : std::filesystem::directory_iterator(work, ignored)) {
    if (is_evaluation_file(entry.path())) done.push_back(entry.path());
  }
  for (const std::filesystem::path& path : done) std::filesystem::remove(path, ignored);
  std::filesystem::remove(work, ignored);  // if it is empty
}

}  // namespace kronbit::app
