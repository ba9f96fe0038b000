#include "apps/experiments/common/judge.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "apps/kronbit/progress.h"
#include "apps/kronbit/search/statistics.h"
#include "search/strategy.h"
#include "tensor/base/error.h"
#include "tensor/io/parse.h"
#include "tensor/io/text.h"
#include "tensor/parallel.h"
#include "tensor/rng.h"

namespace kronbit::experiments {
namespace {

using search::Replay;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr size_t kGrid = 24;  // costs at which curves are given
constexpr int kResamplings = 2000;

Json number(double value) { return std::isfinite(value) ? Json(std::stod(fmt::format("{:.5g}", value))) : Json(); }
Json numbers(const std::vector<double>& values) {
  Json json = Json::array();
  for (const double value : values) json.push_back(number(value));
  return json;
}

/// What judge() needs of every replay of one strategy.
class Judged {
 public:
  Judged(const JudgeCase& the_case, const JudgeOptions& options, std::vector<Replay> replays)
      : case_(the_case),
        options_(options),
        replays_(std::move(replays)),
        best_(true_optimum(the_case.problem, the_case.goal).score) {
    for (size_t r = 0; r < replays_.size(); ++r) drawn_.push_back(drawn_trainings(case_.problem, options_.seed + r));
  }

  double regret(const std::optional<size_t>& candidate) const {
    return candidate ? best_ - truth(*candidate) : kInfinity;
  }
  std::vector<double> regrets(const std::vector<std::optional<size_t>>& candidates) const {
    std::vector<double> values;
    for (const std::optional<size_t>& candidate : candidates) values.push_back(regret(candidate));
    return values;
  }

  /// The incumbent at the end of each replay.
  std::vector<std::optional<size_t>> incumbents() const {
    std::vector<std::optional<size_t>> last;
    for (const Replay& r : replays_) last.push_back(r.steps.empty() ? std::nullopt : r.incumbent());
    return last;
  }
  bool has_choices() const {
    return std::any_of(replays_.begin(), replays_.end(), [](const Replay& r) { return r.model_choice.has_value(); });
  }
  /// What the model chooses at the end of each replay; without a model the incumbent.
  std::vector<std::optional<size_t>> choices() const {
    if (!has_choices()) return incumbents();
    std::vector<std::optional<size_t>> chosen;
    for (const Replay& r : replays_) chosen.push_back(r.model_choice);
    return chosen;
  }

  /// How much less regret these candidates have than `other`, replay by replay. One without a candidate is lost against
  /// one with, and not in the mean.
  /// Formula:  error = standard deviation of the differences / sqrt(n);  truth_error = sqrt(sum_c (w_c e_c)²), w_c how
  ///           much more often than the other one c is named, in shares of n, and e_c the standard error of its truth
  Json paired(const std::vector<std::optional<size_t>>& mine, const std::vector<std::optional<size_t>>& other) const {
    std::vector<double> differences;
    std::map<size_t, double> share;
    int64_t wins = 0, ties = 0;
    for (size_t r = 0; r < mine.size(); ++r) {
      const double a = regret(mine[r]), b = regret(other[r]);
      wins += a < b;
      ties += a == b;
      if (!mine[r] || !other[r]) continue;
      differences.push_back(b - a);
      share[*mine[r]] += 1.0;
      share[*other[r]] -= 1.0;
    }
    const double n = static_cast<double>(differences.size());
    double variance = 0.0;
    for (const auto& [candidate, count] : share)
      variance += std::pow(count / n * case_.problem.truth_error[candidate], 2);
    return {{"mean", number(n > 0.0 ? app::mean(differences) : kInfinity)},
            {"error", number(n > 1.0 ? app::sd(differences) / std::sqrt(n) : kInfinity)},
            {"truth_error", number(n > 0.0 ? std::sqrt(variance) : kInfinity)},
            {"pairs", mine.size()},
            {"without", mine.size() - differences.size()},
            {"wins", wins},
            {"ties", ties}};
  }

  Json to_json(const std::vector<double>& grid) const {
    const auto of_all = [&](const auto& value) {
      std::vector<double> values;
      for (size_t r = 0; r < replays_.size(); ++r) values.push_back(value(r));
      return values;
    };
    const double full = case_.problem.costs.back();
    Json json;
    json["final"] = interval(regrets(incumbents()));
    if (has_choices()) json["model_choice"] = interval(regrets(choices()));
    json["reached"] = reached([&](size_t, size_t c) { return regret(c) <= options_.tolerance; });
    std::vector<double> drawn_best =
        of_all([&](size_t r) { return drawn_optimum(case_.problem, case_.goal, options_.seed + r).score; });
    json["reached_validation"] =
        reached([&](size_t r, size_t c) { return told(r, c) >= drawn_best[r] - options_.tolerance; });
    json["regret"] = curve(
        grid, [&](size_t, size_t c) { return regret(c); }, kInfinity);
    json["incumbent"] = curve(
        grid, [&](size_t r, size_t c) { return told(r, c); }, -kInfinity);
    std::vector<double> bought(case_.problem.costs.size(), 0.0);
    double spent = 0.0;
    for (const Replay& r : replays_) {
      for (size_t task = 0; task < bought.size(); ++task)
        bought[task] += static_cast<double>(r.bought[task]) / static_cast<double>(replays_.size());
      spent += r.steps.empty() ? 0.0 : r.steps.back().cost / full / static_cast<double>(replays_.size());
    }
    json["bought"] = numbers(bought);
    json["spent"] = number(spent);
    json["thought_seconds"] = number(app::mean(of_all([&](size_t r) { return replays_[r].thought_seconds; })));
    json["fits"] = number(app::mean(of_all([&](size_t r) { return static_cast<double>(replays_[r].fits); })));
    json["failed"] =
        std::count_if(replays_.begin(), replays_.end(), [](const Replay& r) { return !r.problem.empty(); });
    return json;
  }

 private:
  double truth(size_t c) const {
    const search::Candidate& candidate = case_.problem.candidates[c];
    return score(case_.goal, case_.problem.truth[c], candidate.bits, candidate.cost);
  }
  double told(size_t replay, size_t c) const {
    const search::Candidate& candidate = case_.problem.candidates[c];
    return score(case_.goal, case_.problem.answers[c][drawn_[replay][c]].accuracy.back(), candidate.bits,
                 candidate.cost);
  }

  static Json interval(const std::vector<double>& values) {
    const Interval iqm = bootstrapped(values);
    return {{"iqm", number(iqm.value)},
            {"low", number(iqm.low)},
            {"high", number(iqm.high)},
            {"mean", number(app::mean(values))},
            {"median", number(quantile(values, 0.5))}};
  }

  /// What it cost until the incumbent was good and stayed so; runs that do not end there count as infinite.
  template <typename Good>
  Json reached(const Good& good) const {
    std::vector<double> costs;
    for (size_t r = 0; r < replays_.size(); ++r) {
      costs.push_back(kInfinity);
      for (auto step = replays_[r].steps.rbegin(); step != replays_[r].steps.rend(); ++step) {
        if (!step->incumbent || !good(r, *step->incumbent)) break;
        costs.back() = step->cost / case_.problem.costs.back();
      }
    }
    const auto there = std::count_if(costs.begin(), costs.end(), [](double cost) { return std::isfinite(cost); });
    return {{"median", number(quantile(costs, 0.5))},
            {"low", number(quantile(costs, 0.25))},
            {"high", number(quantile(costs, 0.75))},
            {"share", number(static_cast<double>(there) / static_cast<double>(costs.size()))}};
  }

  /// Median and quartiles of the incumbent's value at every cost; `none` while there is none.
  template <typename Value>
  Json curve(const std::vector<double>& grid, const Value& value, double none) const {
    std::vector<std::vector<double>> at(grid.size());
    for (size_t r = 0; r < replays_.size(); ++r) {
      size_t step = 0;
      double now = none;
      for (size_t g = 0; g < grid.size(); ++g) {
        const size_t before = step;
        while (step < replays_[r].steps.size() &&
               replays_[r].steps[step].cost <= grid[g] * case_.problem.costs.back() * (1.0 + 1e-9))
          ++step;
        if (step > before && replays_[r].steps[step - 1].incumbent)
          now = value(r, *replays_[r].steps[step - 1].incumbent);
        at[g].push_back(now);
      }
    }
    std::vector<double> median, low, high;
    for (const std::vector<double>& values : at) {
      median.push_back(quantile(values, 0.5));
      low.push_back(quantile(values, 0.25));
      high.push_back(quantile(values, 0.75));
    }
    return {{"median", numbers(median)}, {"low", numbers(low)}, {"high", numbers(high)}};
  }

  const JudgeCase& case_;
  const JudgeOptions& options_;
  std::vector<Replay> replays_;
  std::vector<std::vector<size_t>> drawn_;  // of each replay
  double best_;
};

std::vector<Replay> replays_of(const JudgeCase& the_case, const JudgeOptions& options, const std::string& strategy) {
  std::vector<Replay> replays(static_cast<size_t>(options.replays));
  parallel_for(options.replays, 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      if (app::stop_requested) throw Error("stopped");
      search::ReplayOptions replay;
      replay.seed = options.seed + static_cast<uint64_t>(r);
      replay.budget = options.budget * the_case.problem.costs.back();
      replay.pay_difference = options.pay_difference;
      replay.model_choice = true;
      replay.strategy.name = strategy;
      replay.strategy.goal = the_case.goal;
      replay.strategy.seed = replay.seed;
      replay.strategy.model = options.model;
      replays[static_cast<size_t>(r)] = search::replay(the_case.problem, replay);
    }
  });
  return replays;
}

}  // namespace

double quantile(std::vector<double> values, double q) {
  KB_CHECK(!values.empty());
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(std::lround(q * static_cast<double>(values.size() - 1)))];
}

double interquartile_mean(std::vector<double> values) {
  KB_CHECK(!values.empty());
  std::sort(values.begin(), values.end());
  const auto dropped = static_cast<std::ptrdiff_t>(values.size() / 4);
  return app::mean({values.begin() + dropped, values.end() - dropped});
}

Interval bootstrapped(const std::vector<double>& values) {
  std::vector<double> resampled, drawn(values.size());
  Rng rng(0, Purpose::Search, {8, values.size()});
  for (int i = 0; i < kResamplings; ++i) {
    for (double& value : drawn) value = values[rng.below(values.size())];
    resampled.push_back(interquartile_mean(drawn));
  }
  return {interquartile_mean(values), quantile(resampled, 0.025), quantile(resampled, 0.975)};
}

search::Goal parse_goal(const std::string& text) {
  search::Goal goal;
  const size_t at = text.find('@');
  goal.by = search::parse_by(text.substr(0, at));
  if (goal.by != search::By::Effective && goal.by != search::By::Accuracy)
    input_error("--goals", "wanted effective or accuracy, got {}", quote(text));
  if (at == std::string::npos) return goal;
  const std::string limit = text.substr(at + 1);
  if (limit.ends_with("bits")) {
    goal.limits.max_average_bits = parse_number(limit.substr(0, limit.size() - 4), 0.01, kMaxBits, "--goals");
  } else {
    goal.limits.max_bytes = static_cast<double>(parse_bytes(limit, "--goals"));
  }
  return goal;
}

JudgeCase function_case(const TestFunction& function, size_t candidates) {
  JudgeCase result{std::string(function.name), {}, {}};
  result.goal.by = search::By::Accuracy;
  search::Problem& problem = result.problem;
  problem.costs = function.costs;
  const std::vector<double> shift(function.low.size(), 0.5);
  std::vector<std::vector<double>> values(function.tasks.size());
  for (size_t c = 0; c < candidates; ++c) {
    problem.candidates.push_back({{}, search::space_filling_point(c, shift), {}});
    for (size_t task = 0; task < values.size(); ++task)
      values[task].push_back((function.maximise ? 1.0 : -1.0) * function.value(task, problem.candidates[c].w));
  }
  for (std::vector<double>& task : values) {
    const auto [worst, best] = std::minmax_element(task.begin(), task.end());
    const double low = *worst, range = *best - *worst;
    for (double& value : task) value = (value - low) / range;
  }
  problem.truth = values.back();
  problem.truth_error.assign(candidates, 0.0);
  for (size_t c = 0; c < candidates; ++c) {
    problem.answers.push_back({{{}, function.costs}});
    for (const std::vector<double>& task : values) problem.answers[c][0].accuracy.push_back(0.05 + 0.9 * task[c]);
  }
  return result;
}

Json judge(const JudgeCase& the_case, const JudgeOptions& options) {
  const search::Problem& problem = the_case.problem;
  std::vector<double> grid;
  for (size_t i = 0; i < kGrid; ++i)
    grid.push_back(options.budget *
                   std::pow(std::min(0.5, 1.0 / options.budget), 1.0 - static_cast<double>(i) / (kGrid - 1)));
  std::vector<Judged> judged;
  std::optional<size_t> against;
  for (const std::string& strategy : options.strategies) {
    if (strategy == options.against) against = judged.size();
    judged.emplace_back(the_case, options, replays_of(the_case, options, strategy));
    app::tell("{}: {}\n", the_case.name, strategy);
  }
  const search::Optimum best = true_optimum(problem, the_case.goal);
  std::vector<double> everything;  // regret of the best of what is told, were all candidates run
  for (int64_t r = 0; r < options.replays; ++r)
    everything.push_back(
        judged[0].regret(drawn_optimum(problem, the_case.goal, options.seed + static_cast<uint64_t>(r)).candidate));
  Json json = {{"name", the_case.name},
               {"goal", search::name_of(the_case.goal.by)},
               {"max_bytes", the_case.goal.limits.max_bytes},
               {"max_average_bits", the_case.goal.limits.max_average_bits},
               {"candidates", problem.candidates.size()},
               {"costs", numbers(problem.costs)},
               {"optimum",
                {{"bits", format_bits(problem.candidates[best.candidate].bits)},
                 {"score", number(best.score)},
                 {"error", number(problem.truth_error[best.candidate])}}},
               {"regret_of_everything_run", number(app::mean(everything))},
               {"grid", numbers(grid)},
               {"strategies", Json::array()}};
  for (size_t s = 0; s < judged.size(); ++s) {
    Json strategy = {{"name", options.strategies[s]}};
    strategy.update(judged[s].to_json(grid));
    if (against && s != *against) {
      strategy["paired"] = judged[s].paired(judged[s].incumbents(), judged[*against].incumbents());
      if (judged[s].has_choices())
        strategy["paired_choice"] = judged[s].paired(judged[s].choices(), judged[*against].choices());
    }
    json["strategies"].push_back(std::move(strategy));
  }
  return json;
}

}  // namespace kronbit::experiments
