#include "search/strategies/random.h"

#include <algorithm>

#include "search/strategies/support.h"
#include "tensor/rng.h"

namespace kronbit::search {
namespace {

class Random final : public Strategy {
 public:
  explicit Random(StrategyOptions options) : options_(std::move(options)) {}

  Plan plan(const History& history) const override {
    Plan plan;
    for (const int64_t c :
         Rng(options_.seed, Purpose::Search, {2}).permutation(static_cast<int64_t>(history.candidates.size()))) {
      const size_t candidate = static_cast<size_t>(c);
      if (std::ssize(plan.runs) < options_.round && is_open(history, options_.goal, candidate, history.last()))
        plan.runs.push_back({0, candidate, history.last(), Reason::Strategy, 0.0});
    }
    return plan;
  }

 private:
  StrategyOptions options_;
};

class Uniform final : public Strategy {
 public:
  explicit Uniform(StrategyOptions options) : options_(std::move(options)) {}

  Plan plan(const History& history) const override {
    Plan plan;
    std::vector<Bits> seen;
    for (int b = kMaxBits; b >= kMinBits && std::ssize(plan.runs) < options_.round; --b) {
      Bits bits(history.candidates[0].bits.size(), b);
      if (options_.rules) bits = options_.rules->apply(bits);
      if (std::find(seen.begin(), seen.end(), bits) != seen.end()) continue;
      seen.push_back(bits);
      size_t candidate = find_candidate(history.candidates, bits);
      if (candidate < history.candidates.size()) {
        if (!is_open(history, options_.goal, candidate, history.last())) continue;
      } else {
        if (!options_.make_candidate) continue;
        const Candidate made = options_.make_candidate(bits);
        if (!options_.goal.limits.allow(made.cost)) continue;
        candidate += plan.added.size();
        plan.added.push_back(made);
      }
      plan.runs.push_back({0, candidate, history.last(), Reason::Strategy, 0.0});
    }
    return plan;
  }

 private:
  StrategyOptions options_;
};

}  // namespace

std::unique_ptr<Strategy> make_random(const StrategyOptions& options) { return std::make_unique<Random>(options); }
std::unique_ptr<Strategy> make_uniform(const StrategyOptions& options) { return std::make_unique<Uniform>(options); }

}  // namespace kronbit::search
