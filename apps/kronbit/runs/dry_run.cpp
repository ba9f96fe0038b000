#include "apps/kronbit/runs/dry_run.h"

#include <algorithm>

#include "apps/kronbit/progress.h"
#include "apps/kronbit/search/estimate.h"
#include "tensor/io/parse.h"

namespace kronbit::app {
namespace {

double megabytes(int64_t bytes) { return static_cast<double>(bytes) / 1e6; }

/// "12 to task 0, 8 to task 1".
std::string runs_text(const Rehearsal& search) {
  std::string text;
  for (size_t t = 0; t < search.runs.size(); ++t)
    text += fmt::format("{}{:.0f} to task {}", t == 0 ? "" : ", ", search.runs[t], t);
  return text;
}

void print_space(const SearchSettings& s, const SearchSpace& space) {
  double least = 1e300, most = 0;
  for (const search::Candidate& c : space.candidates) {
    least = std::min(least, c.cost.bytes);
    most = std::max(most, c.cost.bytes);
  }
  fmt::print("{}: {} layers, {} distinct configurations on {}, {:.3f} to {:.3f} MB\n", s.network.net,
             space.layers.size(), space.candidates.size(), space.curve.text(), least / 1e6, most / 1e6);
  fmt::print("data: {} training, {} validation, {} test images\n", s.train_images, s.validation_images, s.test_images);
}

}  // namespace

void print_plan(const Frame& frame, const SearchOptions& options, const SearchSettings& s, const Trial& trial,
                double examining) {
  const SearchSpace space = make_space(s);
  const search::Budget budget = search::Budget::parse(options.budget);
  const PoolOptions pool = pool_options(options);
  const int threads = job_of(s, frame, pool.workers).threads;
  const auto searches = static_cast<double>(parse_int(options.replicates, 1, 1000, "--replicates"));
  const search::Plan plan = search::Explorer(space.candidates, space.tries, space.explorer).plan_round();
  const Estimate e = estimate(trial, space, s, budget, final_options(options), pool.workers);
  const double seconds = examining + searches * e.seconds;
  const int64_t memory = pool.workers * trial.peak_bytes;
  if (frame.json) {
    Json runs = Json::array();
    for (const search::PlannedRun& run : plan.runs)
      runs.push_back({{"bits", space.candidates[run.candidate].bits},
                      {"task", run.task},
                      {"reason", search::name_of(run.reason)}});
    print_json({{"candidates", space.candidates.size()},
                {"layers", space.layers.size()},
                {"epochs", space.epochs},
                {"costs", space.costs},
                {"budget", budget.text()},
                {"first_round", runs},
                {"workers", pool.workers},
                {"threads", threads},
                {"task_seconds", e.task_seconds},
                {"runs", e.search.runs},
                {"search_seconds", e.reference_seconds + e.search.seconds},
                {"finals", e.finals},
                {"final_seconds", e.final_seconds},
                {"seconds", seconds},
                {"peak_bytes", trial.peak_bytes},
                {"memory_bytes", memory},
                {"free_bytes", trial.available_bytes},
                {"disk_bytes", e.disk_bytes * static_cast<int64_t>(searches)}});
    return;
  }
  print_space(s, space);
  for (size_t t = 0; t < space.epochs.size(); ++t)
    fmt::print("task {}: {} epochs, cost {:.4g} = {:.1f} % of the last\n", t, space.epochs[t], space.costs[t],
               100 * space.costs[t] / space.costs.back());
  fmt::print("budget: {}; the first round:\n", budget.text());
  for (const search::PlannedRun& run : plan.runs)
    fmt::print("  {:<30} to task {} ({})\n", format_bits(space.candidates[run.candidate].bits), run.task,
               search::name_of(run.reason));
  const bool here = pool.launch.empty();
  fmt::print("timed {}: {} evaluation{} at the same time, {} thread{} each{}\n", here ? "here" : "behind --launch",
             pool.workers, pool.workers > 1 ? "s" : "", threads, threads > 1 ? "s" : "",
             pool.workers == 1 ? ""
             : here            ? "; they share the processors, and were timed so"
                               : "; one was timed alone, slower where they share a machine");
  for (size_t t = 0; t < space.epochs.size(); ++t)
    fmt::print("  a run to task {}: {:.1f} s, its accuracy measured {}\n", t, e.task_seconds[t],
               t == 0 ? "once" : fmt::format("{} times", t + 1));
  fmt::print("  search: {:.0f} evaluations ({}), {}\n", e.search.evaluations(), runs_text(e.search),
             duration_text(e.reference_seconds + e.search.seconds));
  if (e.finals > 0)
    fmt::print("  final trainings: at most {}, {:.1f} s each, with the test\n", e.finals, e.final_seconds);
  if (searches > 1) fmt::print("  searches: {:.0f}, one after another\n", searches);
  fmt::print("  in all: {}\n", duration_text(seconds));
  fmt::print("  memory: {} x {:.0f} MB = {:.0f} MB, {:.0f} MB are free{}\n", pool.workers, megabytes(trial.peak_bytes),
             megabytes(memory), megabytes(trial.available_bytes), here ? "" : " where one was timed");
  fmt::print("  disk: at most {:.1f} MB in the run folder\n", searches * megabytes(e.disk_bytes));
  fmt::print("nothing was written\n");
}

}  // namespace kronbit::app
