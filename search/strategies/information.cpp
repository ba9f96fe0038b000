#include "search/strategies/information.h"

#include "search/strategies/joint_strategy.h"
#include "tensor/base/error.h"

namespace kronbit::search {
namespace {

class Information final : public JointStrategy {
 public:
  explicit Information(StrategyOptions options) : JointStrategy(std::move(options)) {
    if (options_.target_runs < 0 || options_.target_runs > options_.round)
      input_error("search", "target runs: wanted 0..{}, got {}", options_.round, options_.target_runs);
  }

 private:
  void fill(const History& history, Batch& batch) const override {
    while (std::ssize(batch.runs()) < options_.target_runs && take(batch, most_hopeful(history, batch))) {
    }
    while (!full(batch) && take(batch, batch.most_informative())) {
    }
  }

  std::optional<PlannedRun> most_hopeful(const History& history, const Batch& batch) const {
    const std::vector<double> optimistic = batch.quantiles(2.0);
    return batch.best_at_last(
        [&](size_t c, double, double) {
          return score(options_.goal, optimistic[c], history.candidates[c].bits, history.candidates[c].cost);
        },
        Reason::Target);
  }
};

}  // namespace

std::unique_ptr<Strategy> make_information(const StrategyOptions& options) {
  return std::make_unique<Information>(options);
}

}  // namespace kronbit::search
