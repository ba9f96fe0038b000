#include "quant/engine/profile.h"

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "quant/engine/plan.h"
#include "tensor/base/error.h"
#include "tensor/memory.h"
#include "tensor/parallel.h"
#include "tensor/rng.h"

namespace kronbit::quant {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kRounds = 5;
constexpr double kFewestRuns = 3, kMostRuns = 1000;  // of a round

double microseconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double, std::micro>(to - from).count();
}

/// Memory of every worker, and images to run.
class Arenas {
 public:
  Arenas(const Plan& plan, int workers) {
    for (int w = 0; w < workers; ++w) {
      memory_.push_back(allocate_zeroed(static_cast<size_t>(plan.arena_bytes() + plan.scratch_bytes())));
      auto* bytes = static_cast<std::byte*>(memory_.back().get());
      arenas_.push_back({bytes, bytes + plan.arena_bytes()});
    }
    Rng rng(1, Purpose::Synthetic, {1});
    images_.resize(static_cast<size_t>(plan.rows(plan.input()) * plan.value(plan.input()).pitch));
    for (float& v : images_) v = static_cast<float>(rng.uniform(-2, 2));
  }
  const Arena& operator[](size_t worker) const { return arenas_[worker]; }
  /// Before every run: the input's place holds other values later on.
  void fill(const Plan& plan, size_t worker) const {
    std::copy(images_.begin(), images_.end(), plan.numbers(arenas_[worker], plan.input()));
  }

 private:
  std::vector<std::shared_ptr<void>> memory_;
  std::vector<Arena> arenas_;
  std::vector<float> images_;
};

/// Moments of one run: [0] its begin, [s + 1] the begin of step s, which is the end of step s - 1, and its end.
using Marks = std::vector<Clock::time_point>;

/// One image, its steps shared by all threads. A step has ended when the first thread leaves its barrier; others may
/// sleep on for a while.
void run_single(const Plan& plan, const Arenas& arenas, Marks& marks) {
  const size_t steps = plan.steps().size();
  std::vector<Marks> of_worker(static_cast<size_t>(plan.workers()), Marks(steps, Clock::time_point::max()));
  marks.assign(1, Clock::now());
  arenas.fill(plan, 0);
  marks.push_back(Clock::now());
#pragma omp parallel num_threads(plan.workers())
  {
    const auto worker = static_cast<size_t>(omp_get_thread_num());
    const Arena arena{arenas[0].memory, arenas[worker].scratch};
    for (size_t s = 0; s < steps; ++s) {
      const int64_t items = plan.steps()[s]->items_of(plan);
#pragma omp for schedule(dynamic, 1)
      for (int64_t item = 0; item < items; ++item) plan.run(s, arena, item);
      of_worker[worker][s] = Clock::now();
    }
  }
  const Clock::time_point end = Clock::now();
  for (size_t s = 0; s < steps; ++s) {
    marks.push_back(end);
    for (const Marks& own : of_worker) marks.back() = std::min(marks.back(), own[s]);
  }
  marks.push_back(end);
}

/// A group on every thread; the steps of the first thread count.
void run_groups(const Plan& plan, const Arenas& arenas, int workers, Marks& marks) {
#pragma omp parallel num_threads(workers)
  {
    const auto worker = static_cast<size_t>(omp_get_thread_num());
    if (worker == 0) marks.assign(1, Clock::now());
    arenas.fill(plan, worker);
    if (worker == 0) marks.push_back(Clock::now());
    for (size_t s = 0; s < plan.steps().size(); ++s) {
      for (int64_t item = 0; item < plan.steps()[s]->items_of(plan); ++item) plan.run(s, arenas[worker], item);
      if (worker == 0) marks.push_back(Clock::now());
    }
  }
  marks.push_back(Clock::now());
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + std::ssize(values) / 2;
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Which steps are convolutions: the plan has one for each of its choices, in the same order.
std::vector<size_t> convolution_steps(const Plan& plan) {
  std::vector<size_t> steps;
  for (size_t s = 0; s < plan.steps().size() && steps.size() < plan.choices().size(); ++s)
    if (plan.steps()[s]->describe().starts_with(plan.choices()[steps.size()].layer + " ")) steps.push_back(s);
  KB_CHECK_EQ(steps.size(), plan.choices().size());
  return steps;
}

}  // namespace

PlanTimes time_plan(const PackedNetwork& network, const EngineOptions& options, RunMode mode, double seconds) {
  const int workers = options.threads > 0 ? options.threads : threads();
  const bool single = mode == RunMode::Single;
  Chooser chooser(options, "");
  const Plan plan(network.network(PackedKernel::Reference), single ? 1 : Engine::kGroup, single ? workers : 1, chooser);
  const Arenas arenas(plan, workers);
  const std::vector<size_t> convolutions = convolution_steps(plan);
  const double images = single ? 1 : static_cast<double>(Engine::kGroup * workers);

  Marks marks;
  const auto run = [&] { single ? run_single(plan, arenas, marks) : run_groups(plan, arenas, workers, marks); };
  run();  // memory is touched, threads are there
  const auto start = Clock::now();
  run();
  const double once = 1e-6 * microseconds_between(start, Clock::now());
  const auto runs = static_cast<int>(std::clamp(seconds / kRounds / once, kFewestRuns, kMostRuns));

  std::vector<double> best(convolutions.size() + 1, 1e300);  // the last one: the rest
  for (int round = 0; round < kRounds; ++round) {
    std::vector<std::vector<double>> times(best.size());
    for (int r = 0; r < runs; ++r) {
      run();
      double rest = microseconds_between(marks.front(), marks.back());
      for (size_t l = 0; l < convolutions.size(); ++l) {
        times[l].push_back(microseconds_between(marks[convolutions[l] + 1], marks[convolutions[l] + 2]));
        rest -= times[l].back();
      }
      times.back().push_back(rest);
    }
    for (size_t l = 0; l < best.size(); ++l) best[l] = std::min(best[l], median(times[l]) / images);
  }
  return {plan.choices(), {best.begin(), best.end() - 1}, best.back(), chooser.forced_was_used()};
}

}  // namespace kronbit::quant
