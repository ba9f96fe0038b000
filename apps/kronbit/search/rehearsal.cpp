#include "apps/kronbit/search/rehearsal.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

namespace kronbit::app {
namespace {

constexpr double kPlanningSeconds = 10;

/// Falls with the error, or without one as the bits do, the more the less training there was.
std::vector<double> made_up(const SearchSpace& space, const search::Candidate& c, int task) {
  double harm = 0;  // 0 .. 1
  if (std::isfinite(c.log_error)) {
    const auto by_error = [](const search::Candidate& a, const search::Candidate& b) {
      return a.log_error < b.log_error;
    };
    const auto [least, most] = std::minmax_element(space.candidates.begin(), space.candidates.end(), by_error);
    const double range = std::max(1e-9, most->log_error - least->log_error);
    harm = std::clamp((c.log_error - least->log_error) / range, 0.0, 1.0);
  } else {
    harm = 1 - (c.cost.average_bits - kMinBits) / (kMaxBits - kMinBits);
  }
  const double chance = 1.0 / space.net.classes();
  std::vector<double> accuracies;
  for (int t = 0; t <= task; ++t) {
    const double untrained = static_cast<double>(static_cast<int>(space.costs.size()) - t);
    accuracies.push_back(chance + (0.95 - chance) * std::exp(-2 * untrained * harm * harm));
  }
  return accuracies;
}

/// How long a round takes: runs go to the worker that is free first, in their order.
double together(const std::vector<double>& seconds, int workers) {
  std::vector<double> busy(static_cast<size_t>(workers), 0.0);
  for (const double s : seconds) *std::min_element(busy.begin(), busy.end()) += s;
  return *std::max_element(busy.begin(), busy.end());
}

/// Runs, and both sums of their seconds.
struct Sums {
  std::vector<double> runs;
  double evaluations = 0, of_workers = 0, of_clock = 0;
};

class Player {
 public:
  Player(const SearchSpace& space, const search::Budget& budget, const std::vector<double>& task_seconds, int workers)
      : space_(space),
        budget_(budget),
        task_seconds_(task_seconds),
        workers_(workers),
        explorer_(space.candidates, space.tries, space.explorer) {
    all_.runs.assign(task_seconds.size(), 0.0);
  }

  Rehearsal play() {
    const auto start = std::chrono::steady_clock::now();
    Sums first;
    for (int64_t round = 0; left() > 0; ++round) {
      const auto begin = std::chrono::steady_clock::now();
      search::Plan plan = explorer_.plan_round();
      if (plan.runs.empty()) break;
      run(std::move(plan));
      const auto end = std::chrono::steady_clock::now();
      all_.of_clock += std::chrono::duration<double>(end - begin).count();
      if (round == 0) first = all_;
      if (round > 0 && std::chrono::duration<double>(end - start).count() > kPlanningSeconds) {
        go_on_as_since(first);
        break;
      }
    }
    return {all_.runs, all_.of_clock};
  }

 private:
  /// Of the budget, in its unit.
  double left() const {
    return budget_.evaluations > 0 ? static_cast<double>(budget_.evaluations) - all_.evaluations
                                   : budget_.seconds - all_.of_workers;
  }

  void run(search::Plan plan) {
    explorer_.begin_round(std::move(plan));
    std::vector<double> seconds;
    for (const search::PlannedRun* run = explorer_.first_waiting(); run && left() > 0;
         run = explorer_.first_waiting()) {
      const auto task = static_cast<size_t>(run->task);
      seconds.push_back(task_seconds_[task]);
      all_.of_workers += seconds.back();
      all_.runs[task] += 1;
      all_.evaluations += 1;
      explorer_.tell(made_up(space_, explorer_.candidates()[run->candidate], run->task));
    }
    all_.of_clock += together(seconds, workers_);
  }

  void go_on_as_since(const Sums& first) {
    const double gained =
        budget_.evaluations > 0 ? all_.evaluations - first.evaluations : all_.of_workers - first.of_workers;
    const double times = std::max(0.0, left()) / gained;
    for (size_t t = 0; t < all_.runs.size(); ++t) all_.runs[t] += times * (all_.runs[t] - first.runs[t]);
    all_.of_clock += times * (all_.of_clock - first.of_clock);
  }

  const SearchSpace& space_;
  const search::Budget& budget_;
  const std::vector<double>& task_seconds_;
  int workers_;
  search::Explorer explorer_;
  Sums all_;
};

}  // namespace

double Rehearsal::evaluations() const { return std::accumulate(runs.begin(), runs.end(), 0.0); }

Rehearsal rehearse(const SearchSpace& space, const search::Budget& budget, const std::vector<double>& task_seconds,
                   int workers) {
  return Player(space, budget, task_seconds, workers).play();
}

}  // namespace kronbit::app
