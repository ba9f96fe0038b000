#include "search/replay.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <utility>

#include "search/ranking.h"
#include "tensor/base/error.h"
#include "tensor/rng.h"

namespace kronbit::search {
namespace {

constexpr double kCents = 1e-9;  // of the budget: sums of costs are rounded

/// The variance of the test accuracy between trainings of one configuration.
double pooled_variance(const Table& table) {
  double squares = 0.0, degrees = 0.0;
  for (const Recorded& recorded : table.configurations) {
    const double n = static_cast<double>(recorded.trainings.size());
    double sum = 0.0;
    for (const Training& training : recorded.trainings) sum += training.test.back();
    for (const Training& training : recorded.trainings)
      squares += (training.test.back() - sum / n) * (training.test.back() - sum / n);
    degrees += n - 1.0;
  }
  return degrees > 0.0 ? squares / degrees : 0.0;
}

bool draws(const Curve& curve, const Recorded& recorded) {
  return std::ssize(recorded.w) == curve.weights() &&
         curve.bits(recorded.w, std::ssize(recorded.bits)) == recorded.bits;
}

/// Candidates in the order of their scores at hand: the first of the highest.
template <typename Values>
Optimum highest(const Problem& problem, const Goal& goal, const Values& accuracy) {
  Optimum best;
  for (size_t c = 0; c < problem.candidates.size(); ++c) {
    const double value = score(goal, accuracy(c), problem.candidates[c].bits, problem.candidates[c].cost);
    if (c == 0 || value > best.score) best = {c, value};
  }
  return best;
}

class Run {
 public:
  Run(const Problem& problem, const ReplayOptions& options)
      : problem_(problem),
        options_(options),
        drawn_(drawn_trainings(problem, options.seed)),
        paid_(problem.candidates.size(), 0.0),
        explorer_(problem.candidates, {}, {problem.costs, options.strategy}) {
    result_.bought.resize(problem.costs.size(), 0);
  }

  Replay go() {
    try {
      while (round()) continue;
      if (options_.model_choice && result_.fits > 0) choose();
    } catch (const NumericalError& e) {
      result_.problem = e.what();
    }
    return std::move(result_);
  }

 private:
  using Clock = std::chrono::steady_clock;

  // False when the replay is over.
  bool round() {
    if (options_.most_runs >= 0 && std::ssize(result_.steps) >= options_.most_runs) return false;
    const Clock::time_point start = Clock::now();
    Plan plan = explorer_.plan_round();
    result_.thought_seconds += std::chrono::duration<double>(Clock::now() - start).count();
    result_.exhausted = plan.runs.empty();
    if (result_.exhausted) return false;
    ++result_.rounds;
    result_.fits += plan.fitted;
    KB_CHECK(plan.added.empty());  // nothing is known of others
    explorer_.begin_round(std::move(plan));
    while (const PlannedRun* run = explorer_.first_waiting()) {
      if (options_.most_runs >= 0 && std::ssize(result_.steps) >= options_.most_runs) return false;
      if (!tell(*run)) return false;
    }
    return true;
  }

  bool tell(const PlannedRun run) {
    const Answers& answers = problem_.answers[run.candidate][drawn_[run.candidate]];
    const auto task = static_cast<size_t>(run.task);
    const double cost = answers.cost[task] - (options_.pay_difference ? paid_[run.candidate] : 0.0);
    if (spent_ + cost > options_.budget * (1.0 + kCents)) return false;
    spent_ += cost;
    paid_[run.candidate] = answers.cost[task];
    const auto passed = [&](std::vector<double> all) {
      all.resize(std::min(all.size(), task + 1));
      return all;
    };
    explorer_.tell(passed(answers.accuracy), passed(answers.divergence));
    ++result_.bought[task];
    ReplayStep step{spent_, run.candidate, run.task, std::nullopt};
    if (!result_.steps.empty()) step.incumbent = result_.steps.back().incumbent;
    if (task + 1 == problem_.costs.size()) {
      const Candidate& candidate = problem_.candidates[run.candidate];
      const double value = score(options_.strategy.goal, answers.accuracy[task], candidate.bits, candidate.cost);
      if (!step.incumbent || value > best_) best_ = value, step.incumbent = run.candidate;
    }
    result_.steps.push_back(step);
    return true;
  }

  void choose() {
    const Goal& goal = options_.strategy.goal;
    const std::vector<Ranked> ranked = rank(explorer_.fit(), explorer_, problem_.candidates, goal, goal.limits);
    if (!ranked.empty()) result_.model_choice = ranked.front().candidate;
  }

  const Problem& problem_;
  const ReplayOptions& options_;
  std::vector<size_t> drawn_;
  std::vector<double> paid_;  // of each candidate
  Explorer explorer_;
  Replay result_;
  double spent_ = 0.0, best_ = 0.0;
};

}  // namespace

Problem problem_of(const Table& table, const Curve& curve, const std::optional<ErrorTable>& errors, const Goal& goal) {
  Problem problem;
  problem.costs = table.median_seconds();
  const double variance = pooled_variance(table);
  for (const Recorded& recorded : table.configurations) {
    if (!goal.limits.allow(recorded.cost)) continue;
    Candidate candidate{recorded.bits, draws(curve, recorded) ? recorded.w : curve.fit(recorded.bits), recorded.cost};
    if (errors) {
      if (errors->size() != recorded.bits.size())
        input_error("sensitivities", "layers: wanted {}, got {}", recorded.bits.size(), errors->size());
      candidate.log_error = log_error(*errors, recorded.bits);
    }
    problem.candidates.push_back(std::move(candidate));
    std::vector<Answers> answers;
    double test = 0.0;
    for (const Training& training : recorded.trainings) {
      answers.push_back({training.accuracy, problem.costs, training.kl});
      test += training.test.back();
    }
    const double n = static_cast<double>(answers.size()), p = test / n;
    problem.answers.push_back(std::move(answers));
    problem.truth.push_back(p);
    problem.truth_error.push_back(std::sqrt(std::max(variance, p * (1.0 - p) / table.test_images) / n));
  }
  if (problem.candidates.empty()) input_error("table", "wanted a configuration within the limits, got none");
  return problem;
}

std::vector<size_t> drawn_trainings(const Problem& problem, uint64_t seed) {
  std::vector<size_t> drawn;
  for (size_t c = 0; c < problem.candidates.size(); ++c)
    drawn.push_back(Rng(seed, Purpose::Search, {7, c}).below(problem.answers[c].size()));
  return drawn;
}

Replay replay(const Problem& problem, const ReplayOptions& options) { return Run(problem, options).go(); }

History history_of(const Problem& problem, const std::vector<ReplayedRun>& runs, uint64_t seed) {
  const std::vector<size_t> drawn = drawn_trainings(problem, seed);
  History history;
  history.candidates = problem.candidates;
  history.costs = problem.costs;
  history.known.resize(problem.candidates.size());
  history.divergences.resize(problem.candidates.size());
  history.dropped.resize(problem.candidates.size(), false);
  history.rounds = 1;
  for (const ReplayedRun& run : runs) {
    const Answers& answers = problem.answers[run.candidate][drawn[run.candidate]];
    std::vector<double>&known = history.known[run.candidate], &apart = history.divergences[run.candidate];
    for (size_t task = known.size(); task <= static_cast<size_t>(run.task); ++task) {
      known.push_back(answers.accuracy[task]);
      if (!answers.divergence.empty()) apart.push_back(answers.divergence[task]);
    }
    history.told.push_back({{history.runs++, run.candidate, run.task, Reason::Strategy, 0.0}, true});
  }
  return history;
}

Optimum true_optimum(const Problem& problem, const Goal& goal) {
  return highest(problem, goal, [&](size_t c) { return problem.truth[c]; });
}

Optimum drawn_optimum(const Problem& problem, const Goal& goal, uint64_t seed) {
  const std::vector<size_t> drawn = drawn_trainings(problem, seed);
  return highest(problem, goal, [&](size_t c) { return problem.answers[c][drawn[c]].accuracy.back(); });
}

}  // namespace kronbit::search
