#include "apps/kronbit/workers/try_out.h"

#include <fmt/format.h>

#include <algorithm>

#include "tensor/base/error.h"
#include "tensor/base/stopped.h"

namespace kronbit::app {
namespace {

std::vector<Json> run_all(const Job& job, const PoolOptions& options, int count) {
  JobPool pool(options);
  for (int i = 0; i < count; ++i) pool.submit(job, i);
  std::vector<Json> results;
  while (static_cast<int>(results.size()) < count) {
    if (stop_requested) throw Stopped("[search] stopped");
    std::optional<JobPool::Outcome> outcome = pool.wait(0.2);
    if (!outcome) continue;
    if (!outcome->ok && outcome->fault == search::Fault::Input) throw InputError(outcome->reason);
    if (!outcome->ok) throw Error(fmt::format("[search] the trial of an evaluation failed: {}", outcome->reason));
    results.push_back(std::move(outcome->result));
    if (Json& result = results.back(); has(result, "seconds"))  // the process lives longer than its work
      result["start"] =
          result["start"].get<double>() + std::max(0.0, outcome->seconds - result["seconds"].get<double>());
  }
  return results;
}

std::string gigabytes(double bytes) { return fmt::format("{:.3g} GB", bytes / 1e9); }

/// Their mean; the largest peak.
Trial mean_of(const std::vector<Json>& results) {
  Trial mean = trial_from_json(results.front());
  for (size_t i = 1; i < results.size(); ++i) {
    const Trial other = trial_from_json(results[i]);
    const auto blend = [&](double& value, double more) { value += (more - value) / static_cast<double>(i + 1); };
    const auto blend_both = [&](Repeated& value, const Repeated& more) {
      blend(value.first, more.first);
      blend(value.next, more.next);
    };
    blend(mean.start, other.start);
    blend_both(mean.step, other.step);
    blend_both(mean.evaluation, other.evaluation);
    blend_both(mean.reference, other.reference);
    blend(mean.pack, other.pack);
    mean.peak_bytes = std::max(mean.peak_bytes, other.peak_bytes);
  }
  return mean;
}

}  // namespace

void check_memory(int64_t peak_bytes, int64_t available_bytes, int workers, const std::string& batch) {
  const auto peak = static_cast<double>(peak_bytes), available = static_cast<double>(available_bytes);
  if (peak > available)
    input_error("memory", "one evaluation: wanted at most the {} that are free, takes more: a smaller --batch than {}",
                gigabytes(available), batch);
  if (peak * workers <= available) return;
  input_error(
      "memory",
      "{} evaluations at the same time: wanted at most the {} that are free, got {} x {}: --workers {} at most, "
      "or a smaller --batch than {}",
      workers, gigabytes(available), workers, gigabytes(peak), static_cast<int64_t>(available / peak), batch);
}

Trial try_out(Job job, const PoolOptions& pool) {
  job.trial = true;
  PoolOptions one = pool;
  one.workers = 1;
  const std::vector<Json> alone = run_all(job, one, 1);
  const int together = pool.launch.empty() ? pool.workers : 1;
  const auto check = [&](const Json& result, int workers) {
    check_memory(get_int(result, "peak_bytes", 0, INT64_MAX, "trial"),
                 get_int(result, "available_bytes", 0, INT64_MAX, "trial"), workers, job.tune.batch);
  };
  check(alone.front(), together);
  if (together == 1) return mean_of(alone);
  const int64_t available = alone.front()["available_bytes"].get<int64_t>();
  const std::vector<Json> results = run_all(job, pool, together);
  for (const Json& result : results) check(result, 1);  // another program may have taken memory meanwhile
  Trial mean = mean_of(results);
  mean.available_bytes = available;  // before the others took theirs
  return mean;
}

}  // namespace kronbit::app
