#include "search/strategies/information.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "gp/information.h"
#include "tensor/base/error.h"

namespace kronbit::search {
namespace {

class Information final : public Strategy {
 public:
  explicit Information(StrategyOptions options) : options_(std::move(options)) {
    if (options_.target_runs < 0 || options_.target_runs > options_.round)
      input_error("search", "target runs: wanted 0..{}, got {}", options_.round, options_.target_runs);
  }

  Plan plan(const History& history) const override {
    Plan plan;
    if (history.rounds == 0) {
      plan.runs = space_filling_design(history, options_);
    } else if (!history.anything_left()) {
      return plan;
    } else if (!anything_known(history)) {  // every run so far has failed: the next candidates in order
      for (size_t c = 0; c < history.candidates.size() && std::ssize(plan.runs) < options_.round; ++c)
        if (history.may_run(c, 0)) plan.runs.push_back({0, c, 0, Reason::Design, 0.0});
    } else {
      const Model model = fit_model(history, options_.model, options_.seed, &plan.fit);
      plan.fitted = true;
      plan.logit_warp = model.gp().standardisation().logit_warp;
      plan.hyperparameters = model.gp().hyperparameters();
      plan.runs = informed_runs(history, model);
    }
    return plan;
  }

 private:
  static bool anything_known(const History& history) {
    for (const Told& told : history.told)
      if (told.ok) return true;
    return false;
  }

  std::vector<PlannedRun> informed_runs(const History& history, const Model& model) const {
    const std::vector<Candidate>& candidates = history.candidates;
    gp::InformationGain gain(model.gp(), model.places()(candidates));
    const int last = history.last();
    Model believing = model;  // that every target run gives what is expected of it
    gp::Posterior hope = model.predict(candidates, last);
    std::vector<PlannedRun> runs;
    std::vector<bool> used(candidates.size(), false);
    while (std::ssize(runs) < options_.round) {
      const bool target = std::ssize(runs) < options_.target_runs;
      PlannedRun pick;
      double best = -std::numeric_limits<double>::infinity();
      for (size_t c = 0; c < candidates.size(); ++c) {
        if (used[c]) continue;
        const int first = history.depth(c);
        for (int task = target ? last : first; task <= last; ++task) {
          if (!history.may_run(c, task)) continue;
          const double optimistic = hope.mean[c] + 2.0 * std::sqrt(std::max(0.0, hope.variance[c]));
          const double value = target ? score(options_.goal, optimistic, candidates[c].bits, candidates[c].cost)
                                      : gain.run_information(c, first, task) / history.costs[static_cast<size_t>(task)];
          if (value > best) best = value, pick = {0, c, task, target ? Reason::Target : Reason::Information, 0.0};
        }
      }
      if (best == -std::numeric_limits<double>::infinity()) break;
      const int first = history.depth(pick.candidate);
      pick.information = gain.run_information(pick.candidate, first, pick.task);
      for (int task = first; task <= pick.task; ++task) gain.append(pick.candidate, task);
      used[pick.candidate] = true;
      runs.push_back(pick);
      if (std::ssize(runs) >= options_.target_runs) continue;  // hope is asked for target runs alone
      believing = with_expected(believing, candidates[pick.candidate], first, last);
      hope = believing.predict(candidates, last);
    }
    return runs;
  }

  static Model with_expected(const Model& model, const Candidate& candidate, int first, int last) {
    std::vector<gp::Observation> observations = model.gp().observations();
    for (int task = first; task <= last; ++task)
      observations.push_back(
          {model.places()(candidate), task, std::clamp(model.predict({candidate}, task).mean[0], 0.0, 1.0)});
    return {model.places(),
            gp::MultiTaskGp(std::move(observations), model.gp().hyperparameters(), model.gp().standardisation())};
  }

  StrategyOptions options_;
};

}  // namespace

std::unique_ptr<Strategy> make_information(const StrategyOptions& options) {
  return std::make_unique<Information>(options);
}

}  // namespace kronbit::search
