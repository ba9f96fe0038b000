#include "apps/kronbit/finals.h"

#include <algorithm>
#include <cmath>

#include "apps/kronbit/best.h"
#include "apps/kronbit/outlook.h"
#include "apps/kronbit/progress.h"
#include "nn/train.h"
#include "tensor/io/file.h"
#include "tensor/rng.h"

namespace kronbit::app {
namespace {

bool finished(const std::vector<Json>& lines, const std::string& kind, const Bits& bits, int seed) {
  return std::any_of(lines.begin(), lines.end(), [&](const Json& line) {
    return line["event"] == "final" && line["kind"] == kind && line["bits"] == Json(bits) && line["seed"] == seed;
  });
}

void record_fp32(search::SearchRun& run, const SearchSettings& settings) {
  for (const Json& line : run.lines()) {
    if (line["event"] == "fp32") return;
  }
  const Job job = job_of(settings, {}, 1);
  const data::Splits splits = open_data(job.data, input_size(job.network));
  nn::Network net = load_network(job.network).net;
  const nn::Accuracy a = nn::evaluate(net, splits.test, splits.normalization, 250, {}, &stop_requested,
                                      parse_precision(settings.tune.precision));
  run.record({{"event", "fp32"}, {"top1", a.top1}, {"top5", a.top5}, {"loss", a.loss}, {"images", a.images}});
}

std::filesystem::path final_path(const std::filesystem::path& work, const Bits& bits, int seed) {
  return packed_path(work, bits, 0).replace_extension(fmt::format(".final{}.safetensors", seed));
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
      for (const FinalRow& row : rows_) tasks_.push_back({&row, seed, {}});
    }
  }

  /// False when a signal ended it early.
  bool train() {
    Progress progress(frame_, "final", "trainings");
    const auto total = static_cast<int64_t>(tasks_.size());
    size_t started = 0, journalled = 0;
    while (journalled < tasks_.size()) {
      progress.update(static_cast<int64_t>(journalled), total);
      if (stop_requested) return false;
      for (; started < tasks_.size() && pool_.running() < pool_.workers(); ++started) {
        if (!in_journal(tasks_[started])) pool_.submit(job(tasks_[started]), static_cast<int64_t>(started));
      }
      if (pool_.running() > 0) {
        if (auto outcome = pool_.wait(0.2)) take(std::move(*outcome), progress);
      }
      while (journalled < started && record(tasks_[journalled])) ++journalled;
    }
    progress.update(total, total);
    return true;
  }

  /// best/ becomes the best of the ranked ones, judged on validation images.
  void publish() {
    const Json* best = nullptr;
    double best_score = 0;
    for (const Json& line : run_.lines()) {
      if (line["event"] != "final" || !line["kind"].get<std::string>().starts_with("best")) continue;
      const Bits bits = line["bits"].get<Bits>();
      const double s = search::score(space_.goal, line["validation"].get<double>(), bits, space_.cost_of(bits));
      if (!best || s > best_score) {
        best = &line;
        best_score = s;
      }
    }
    if (!best) return;
    const auto packed = final_path(work(), (*best)["bits"].get<Bits>(), (*best)["seed"].get<int>());
    if (std::filesystem::exists(packed)) publish_best(run_.folder(), packed);
  }

 private:
  struct Task {
    const FinalRow* row;
    int seed;
    std::optional<JobPool::Outcome> outcome;
    int failures = 0;
  };

  /// A failure is journalled and tried again, three times in all, unless the training itself broke down.
  void take(JobPool::Outcome outcome, Progress& progress) {
    Task& task = tasks_[static_cast<size_t>(outcome.tag)];
    if (outcome.ok || outcome.fault == search::Fault::Training || ++task.failures >= search::kAttempts) {
      task.outcome = std::move(outcome);
      return;
    }
    progress.log(fmt::format("failed: {}", outcome.reason));
    run_.record({{"event", "final_failed"},
                 {"kind", task.row->kind},
                 {"bits", task.row->bits},
                 {"seed", task.seed},
                 {"attempt", task.failures},
                 {"fault", search::name_of(outcome.fault)},
                 {"reason", outcome.reason},
                 {"seconds", outcome.seconds},
                 {"worker", outcome.worker}});
    pool_.submit(job(task), outcome.tag);
  }

  std::filesystem::path work() const { return run_.folder() / "work"; }
  double epochs() const { return options_.epochs > 0 ? options_.epochs : space_.epochs.back(); }
  bool in_journal(const Task& task) const { return finished(run_.lines(), task.row->kind, task.row->bits, task.seed); }

  Job job(const Task& task) const {
    Job job = job_of(settings_, frame_, workers_);
    job.layers = task.row->bits;
    job.epochs = {epochs()};
    job.schedule = options_.schedule;
    job.seed = Rng(space_.explorer.strategy.seed, Purpose::Search, {3, static_cast<uint64_t>(task.seed)}).next() >> 1;
    job.test = true;
    job.keep = final_path(work(), task.row->bits, task.seed).string();
    return job;
  }

  /// True when the journal has the task, now or before; false while its training runs.
  bool record(const Task& task) {
    if (in_journal(task)) return true;
    if (!task.outcome) return false;
    const auto& [row, seed, outcome, failures] = task;
    if (!outcome->ok) {
      throw Error(fmt::format("[search] the final training of {} failed: {}", format_bits(row->bits), outcome->reason));
    }
    const Json& test = get_object(outcome->result, "test", "evaluate");
    run_.record({{"event", "final"},
                 {"kind", row->kind},
                 {"bits", row->bits},
                 {"seed", seed},
                 {"estimate", row->estimate},
                 {"sd", row->sd},
                 {"epochs", epochs()},
                 {"validation", get_numbers(outcome->result, "accuracies", 0, 1, "evaluate").at(0)},
                 {"top1", test["top1"]},
                 {"top5", test["top5"]},
                 {"loss", test["loss"]},
                 {"images", test["images"]},
                 {"seconds", outcome->seconds}});
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
};

}  // namespace

double FinalRow::mean_top1() const {
  double sum = 0;
  for (double v : top1) sum += v;
  return top1.empty() ? 0 : sum / static_cast<double>(top1.size());
}

double FinalRow::sd_top1() const {
  if (top1.size() < 2) return 0;
  double sum = 0;
  for (double v : top1) sum += (v - mean_top1()) * (v - mean_top1());
  return std::sqrt(sum / static_cast<double>(top1.size() - 1));
}

double FinalRow::doubt(int64_t images) const {
  const double p = mean_top1();
  const double seeds = sd_top1() * sd_top1() / static_cast<double>(top1.size());
  return std::sqrt(seeds + p * (1 - p) / static_cast<double>(std::max<int64_t>(images, 1)));
}

const FinalRow* Finals::find(const std::string& kind) const {
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const FinalRow& r) { return r.kind == kind; });
  return found == rows.end() ? nullptr : &*found;
}

const FinalRow* Finals::champion(const SearchSpace& space) const {
  const FinalRow* first = nullptr;
  double highest = 0;
  for (const FinalRow& row : rows) {
    if (!row.kind.starts_with("best")) continue;
    const double validation = *std::max_element(row.validation.begin(), row.validation.end());
    const double score = search::score(space.goal, validation, row.bits, space.cost_of(row.bits));
    if (!first || score > highest) {
      first = &row;
      highest = score;
    }
  }
  return first;
}

std::vector<FinalRow> choose_finals(const SearchSpace& space, const search::RunState& state,
                                    const FinalOptions& options) {
  const search::Model model = state.explorer().fit();
  const std::vector<search::Ranked> ranked =
      search::rank(model, space.candidates, search::measured_at_last_task(state.explorer()), space.goal, space.limits);
  std::vector<FinalRow> rows;
  const auto add = [&](const std::string& kind, const Bits& bits) {
    const search::Candidate configuration = space.configuration(bits);
    const auto p = model.predict({configuration}, state.explorer().tasks() - 1);
    const search::Cost& cost = configuration.cost;
    rows.push_back(
        {kind, bits, std::clamp(p.mean[0], 0.0, 1.0), std::sqrt(p.variance[0]), {}, {}, cost.bytes, cost.bops});
  };
  for (size_t i = 0; i < ranked.size() && static_cast<int>(i) < options.top; ++i) {
    add(fmt::format("best {}", i + 1), space.candidates[ranked[i].candidate].bits);
  }
  if (rows.empty()) return rows;
  const search::Candidate& first = space.candidates[ranked[0].candidate];
  const auto layers = static_cast<int64_t>(space.layers.size());
  const Bits uniform = search::nearest_uniform(layers, first.cost.bytes, space.cost_of);
  add("uniform", uniform);
  const Bits reversed = search::reversed_of_equal_size(space.curve, first, space.cost_of);
  add("reversed", reversed);
  return rows;
}

bool run_finals(search::SearchRun& run, const SearchSettings& settings, const SearchSpace& space, const Frame& frame,
                const FinalOptions& options, const PoolOptions& pool) {
  record_fp32(run, settings);
  FinalTrainings trainings(run, settings, space, frame, options, pool);
  if (!trainings.train()) return false;
  trainings.publish();
  return true;
}

Finals read_finals(const std::vector<Json>& lines, const SearchSpace& space) {
  Finals finals;
  for (const Json& line : lines) {
    if (line["event"] == "fp32") finals.fp32_top1 = get_number(line, "top1", 0, 1, "journal");
    if (line["event"] != "final") continue;
    const Bits bits = line["bits"].get<Bits>();
    const std::string kind = get_string(line, "kind", "journal");
    auto row = std::find_if(finals.rows.begin(), finals.rows.end(),
                            [&](const FinalRow& r) { return r.kind == kind && r.bits == bits; });
    if (row == finals.rows.end()) {
      // A longer search may have chosen anew: the later choice counts.
      std::erase_if(finals.rows, [&](const FinalRow& r) { return r.kind == kind; });
      const search::Cost cost = space.cost_of(bits);
      finals.rows.push_back({kind,
                             bits,
                             get_number(line, "estimate", 0, 1, "journal"),
                             get_number(line, "sd", 0, 1e6, "journal"),
                             {},
                             {},
                             cost.bytes,
                             cost.bops});
      row = finals.rows.end() - 1;
    }
    row->validation.push_back(get_number(line, "validation", 0, 1, "journal"));
    row->top1.push_back(get_number(line, "top1", 0, 1, "journal"));
    finals.images = get_int(line, "images", 0, INT64_MAX, "journal");
  }
  return finals;
}

std::string format_finals(const Finals& finals) {
  size_t width = 13;
  for (const FinalRow& row : finals.rows) width = std::max(width, format_bits(row.bits).size());
  std::string out = fmt::format("{:<9} {:<{}} {:>16} {:>10} {:>6} {:>7} {:>6} {:>8}\n", "", "configuration", width,
                                "GP estimate", "mean top-1", "sd", "delta", "bits", "MB");
  if (finals.fp32_top1)
    out += fmt::format("{:<9} {:<{}} {:>16} {:>9.2f}%\n", "fp32", "32-bit floating point", width, "-",
                       100 * *finals.fp32_top1);
  for (const FinalRow& row : finals.rows) {
    int total = 0;
    for (int b : row.bits) total += b;
    out += fmt::format("{:<9} {:<{}} {:>16} {:>9.2f}% {:>6} {:>+6.2f}% {:>6} {:>8.4f}\n", row.kind,
                       format_bits(row.bits), width, fmt::format("{:.2f}% +- {:.2f}", 100 * row.estimate, 100 * row.sd),
                       100 * row.mean_top1(), row.top1.size() > 1 ? fmt::format("{:.2f}", 100 * row.sd_top1()) : "-",
                       100 * (row.mean_top1() - row.estimate), total, row.bytes / 1e6);
  }
  return out;
}

std::string final_verdict(const Finals& finals, const SearchSpace& space) {
  const FinalRow *best = finals.champion(space), *uniform = finals.find("uniform");
  if (!best || !uniform) return "";
  const auto side = [&](const FinalRow& row) {
    return Contender{row.bits, row.mean_top1(), row.doubt(finals.images), row.bytes};
  };
  return verdict(side(*best), side(*uniform), Source::Test);
}

}  // namespace kronbit::app
