#include "quant/engine/profile.h"

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "quant/engine/run_plan.h"
#include "tensor/base/error.h"
#include "tensor/memory.h"
#include "tensor/parallel.h"
#include "tensor/rng.h"

namespace kronbit::quant {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kFewestRuns = 3, kMostRuns = 1000;  // of a round
constexpr double kLongestSpin = 4e-3;                // seconds
constexpr double kNever = 1e300;

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
  const std::vector<Arena>& all() const { return arenas_; }
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
  run_shared(plan, arenas.all(), [&](size_t worker, size_t step) { of_worker[worker][step] = Clock::now(); });
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
    run_alone(plan, arenas.all()[worker], [&](size_t) {
      if (worker == 0) marks.push_back(Clock::now());
    });
  }
  marks.push_back(Clock::now());
}

double lower_quartile(std::vector<double> values) {
  const auto quarter = values.begin() + std::ssize(values) / 4;
  std::nth_element(values.begin(), quarter, values.end());
  return *quarter;
}

/// Keeps the processor busy. A thread that has slept is given a whole time slice; were runs to start at its begin,
/// another process would take over at the same step of each.
void spin(double seconds) {
  const auto start = Clock::now();
  while (1e-6 * microseconds_between(start, Clock::now()) < seconds) {
  }
}

}  // namespace

struct PlanTimer::State {
  int workers;
  bool single;
  Chooser chooser;
  Plan plan;
  Arenas arenas;
  std::vector<double> best;  // microseconds per image; the last one: the rest
  Marks marks = {};
  Rng rng{1, Purpose::Synthetic, {2}};

  State(const nn::Network& net, const EngineOptions& options, RunMode mode)
      : workers(options.threads > 0 ? options.threads : threads()),
        single(mode == RunMode::Single),
        chooser(options, ""),
        plan(net, single ? 1 : Engine::kGroup, single ? workers : 1, chooser),
        arenas(plan, workers),
        best(plan.choices().size() + 1, kNever) {}

  void run() { single ? run_single(plan, arenas, marks) : run_groups(plan, arenas, workers, marks); }
};

PlanTimer::PlanTimer(const PackedNetwork& network, const EngineOptions& options, RunMode mode)
    : state_(std::make_unique<State>(network.network(PackedKernel::Reference), options, mode)) {}
PlanTimer::~PlanTimer() = default;
PlanTimer::PlanTimer(PlanTimer&&) noexcept = default;
PlanTimer& PlanTimer::operator=(PlanTimer&&) noexcept = default;

void PlanTimer::round(double seconds) {
  State& s = *state_;
  const size_t convolutions = s.plan.choices().size();
  const double images = s.single ? 1 : static_cast<double>(Engine::kGroup * s.workers);
  s.run();  // memory is touched, threads are there
  s.run();
  const double once = 1e-6 * microseconds_between(s.marks.front(), s.marks.back());
  const auto runs = static_cast<int>(std::clamp(seconds / once, kFewestRuns, kMostRuns));
  std::vector<std::vector<double>> times(s.best.size());
  for (int r = 0; r < runs; ++r) {
    spin(s.rng.uniform(0, std::min(once, kLongestSpin)));
    s.run();
    double rest = microseconds_between(s.marks.front(), s.marks.back());
    for (size_t l = 0; l < convolutions; ++l) {
      const size_t step = s.plan.convolution_step(l);
      times[l].push_back(microseconds_between(s.marks[step + 1], s.marks[step + 2]));
      rest -= times[l].back();
    }
    times.back().push_back(rest);
  }
  for (size_t l = 0; l < times.size(); ++l) s.best[l] = std::min(s.best[l], lower_quartile(times[l]) / images);
}

PlanTimes PlanTimer::times() const {
  const std::vector<double>& best = state_->best;
  KB_CHECK(best.back() < kNever);
  return {state_->plan.choices(), {best.begin(), best.end() - 1}, best.back()};
}

}  // namespace kronbit::quant
