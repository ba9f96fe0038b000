#include "search/strategies/evolution.h"

#include <algorithm>
#include <cstdlib>
#include <limits>

#include "search/strategies/support.h"
#include "tensor/rng.h"

namespace kronbit::search {
namespace {

constexpr int kTournament = 5;  // of regularised evolution
constexpr int kAttempts = 100;  // to make a child that is new

int distance(const Bits& a, const Bits& b) {
  int sum = 0;
  for (size_t l = 0; l < a.size(); ++l) sum += std::abs(a[l] - b[l]);
  return sum;
}

/// Among `allowed`, which rises. Bits that are not there (of a fixed layer, or a candidate that the user asked for) count
/// as the next that are; a fixed layer gets its bits back by the rules.
int mutated(int bits, const std::vector<int>& allowed, Rng& rng) {
  if (rng.uniform() < 0.5) return allowed[rng.below(allowed.size())];
  const auto here = std::min(std::lower_bound(allowed.begin(), allowed.end(), bits), allowed.end() - 1);
  if (rng.uniform() < 0.5) return here + 1 == allowed.end() ? *here : *(here + 1);
  return here == allowed.begin() ? *here : *(here - 1);
}

class Evolution : public Strategy {
 public:
  explicit Evolution(StrategyOptions options) : options_(std::move(options)) {}

  Plan plan(const History& history) const override {
    Plan plan;
    std::vector<bool> used(history.candidates.size(), false);
    const size_t tries = history.rounds == 0 ? history.tries.size() : 0;
    const size_t begun = history.told.size() + tries;
    if (begun < kPopulation) begin(history, kPopulation - begun, plan);
    if (!plan.runs.empty() || history.rounds == 0) return plan;
    const std::vector<size_t> parents = population(history);
    Rng rng(options_.seed, Purpose::Search, {4, history.told.size()});
    while (std::ssize(plan.runs) < options_.round && add_child(history, parents, used, rng, plan)) {
    }
    return plan;
  }

 protected:
  /// Candidates that may have children: known at the last task, within the limits.
  virtual std::vector<size_t> population(const History& history) const = 0;
  /// A child before the rules. Requires: parents not empty.
  virtual Bits child(const History& history, const std::vector<size_t>& parents, Rng& rng) const = 0;

  bool may_be_parent(const History& history, const Told& told) const {
    return told.ok && told.run.task == history.last() &&
           options_.goal.limits.allow(history.candidates[told.run.candidate].cost);
  }
  std::vector<std::vector<size_t>> genes(size_t layers) const {
    if (options_.rules) return options_.rules->groups();
    std::vector<std::vector<size_t>> each;
    for (size_t l = 0; l < layers; ++l) each.push_back({l});
    return each;
  }

  std::vector<int> allowed() const {
    return options_.rules ? options_.rules->allowed() : std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8};
  }

  StrategyOptions options_;

 private:
  void begin(const History& history, size_t count, Plan& plan) const {
    Rng rng(options_.seed, Purpose::Search, {5});
    for (const int64_t c : rng.permutation(static_cast<int64_t>(history.candidates.size())))
      if (plan.runs.size() < count && is_open(history, options_.goal, static_cast<size_t>(c), history.last()))
        plan.runs.push_back({0, static_cast<size_t>(c), history.last(), Reason::Strategy, 0.0});
  }

  /// False when nothing new is left.
  bool add_child(const History& history, const std::vector<size_t>& parents, std::vector<bool>& used, Rng& rng,
                 Plan& plan) const {
    Bits bits = history.candidates[0].bits;
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      if (parents.empty()) break;
      bits = child(history, parents, rng);
      if (options_.rules) bits = options_.rules->apply(bits);
      const size_t listed = find_candidate(history.candidates, bits);
      if (listed < history.candidates.size()) {
        if (used[listed] || !is_open(history, options_.goal, listed, history.last())) continue;
        return take(history, listed, used, plan);
      }
      if (!options_.make_candidate) break;
      if (find_candidate(plan.added, bits) < plan.added.size()) continue;
      const Candidate made = options_.make_candidate(bits);
      if (!options_.goal.limits.allow(made.cost)) continue;
      plan.added.push_back(made);
      plan.runs.push_back(
          {0, history.candidates.size() + plan.added.size() - 1, history.last(), Reason::Strategy, 0.0});
      return true;
    }
    size_t nearest = history.candidates.size();
    int smallest = std::numeric_limits<int>::max();
    for (const size_t c : open_candidates(history, options_.goal, history.last())) {
      const int apart = distance(history.candidates[c].bits, bits);
      if (!used[c] && apart < smallest) smallest = apart, nearest = c;
    }
    return nearest < history.candidates.size() && take(history, nearest, used, plan);
  }

  static bool take(const History& history, size_t candidate, std::vector<bool>& used, Plan& plan) {
    used[candidate] = true;
    plan.runs.push_back({0, candidate, history.last(), Reason::Strategy, 0.0});
    return true;
  }
};

class Nsga2 final : public Evolution {
 public:
  using Evolution::Evolution;

 private:
  struct Sorted {
    std::vector<int> ranks;
    std::vector<double> crowding;
    bool better(size_t i, size_t j) const {
      if (ranks[i] != ranks[j]) return ranks[i] < ranks[j];
      return crowding[i] != crowding[j] ? crowding[i] > crowding[j] : i < j;
    }
  };

  static Sorted sorted(const History& history, const std::vector<size_t>& members) {
    std::vector<double> loss, bytes;
    for (const size_t c : members) {
      loss.push_back(1.0 - history.known[c].back());
      bytes.push_back(history.candidates[c].cost.bytes);
    }
    const std::vector<int> ranks = nondominated_ranks(loss, bytes);
    return {ranks, crowding_distances(loss, bytes, ranks)};
  }

  /// Generation by generation: what was told in one round competes with the parents of that round.
  std::vector<size_t> population(const History& history) const override {
    std::vector<size_t> members;
    const size_t end = history.told.size();
    for (size_t at = 0; at < end;) {
      const size_t stop = std::min(end, at + (at == 0 ? kPopulation : static_cast<size_t>(options_.round)));
      for (; at < stop; ++at)
        if (may_be_parent(history, history.told[at])) members.push_back(history.told[at].run.candidate);
      const Sorted by = sorted(history, members);
      std::vector<size_t> order(members.size());
      for (size_t i = 0; i < order.size(); ++i) order[i] = i;
      std::sort(order.begin(), order.end(), [&](size_t i, size_t j) { return by.better(i, j); });
      std::vector<size_t> kept;
      for (size_t i = 0; i < std::min<size_t>(order.size(), kPopulation); ++i) kept.push_back(members[order[i]]);
      members = kept;
    }
    return members;
  }

  Bits child(const History& history, const std::vector<size_t>& parents, Rng& rng) const override {
    const Sorted by = sorted(history, parents);
    const auto tournament = [&]() -> const Bits& {
      const size_t i = rng.below(parents.size()), j = rng.below(parents.size());
      return history.candidates[parents[by.better(i, j) ? i : j]].bits;
    };
    const Bits &mother = tournament(), &father = tournament();
    Bits bits = mother;
    const bool cross = rng.uniform() < 0.9;
    const std::vector<std::vector<size_t>> all = genes(bits.size());
    for (const std::vector<size_t>& layers : all) {
      const bool from_father = cross && rng.uniform() < 0.5;
      int value = (from_father ? father : mother)[layers[0]];
      if (rng.uniform() < 1.0 / static_cast<double>(all.size())) value = mutated(value, allowed(), rng);
      for (const size_t l : layers) bits[l] = value;
    }
    return bits;
  }
};

class Regularised final : public Evolution {
 public:
  using Evolution::Evolution;

 private:
  std::vector<size_t> population(const History& history) const override {
    std::vector<size_t> members;
    for (size_t i = history.told.size(); i-- > 0 && members.size() < kPopulation;)
      if (may_be_parent(history, history.told[i])) members.push_back(history.told[i].run.candidate);
    return members;
  }

  Bits child(const History& history, const std::vector<size_t>& parents, Rng& rng) const override {
    size_t best = history.candidates.size();
    double highest = -std::numeric_limits<double>::infinity();
    for (int draw = 0; draw < kTournament; ++draw) {
      const size_t c = parents[rng.below(parents.size())];
      const Candidate& candidate = history.candidates[c];
      const double reached = score(options_.goal, history.known[c].back(), candidate.bits, candidate.cost);
      if (best == history.candidates.size() || reached > highest) highest = reached, best = c;
    }
    Bits bits = history.candidates[best].bits;
    const std::vector<std::vector<size_t>> all = genes(bits.size());
    const std::vector<size_t>& layers = all[rng.below(all.size())];
    const int value = mutated(bits[layers[0]], allowed(), rng);
    for (const size_t l : layers) bits[l] = value;
    return bits;
  }
};

}  // namespace

std::unique_ptr<Strategy> make_nsga2(const StrategyOptions& options) { return std::make_unique<Nsga2>(options); }
std::unique_ptr<Strategy> make_evolution(const StrategyOptions& options) {
  return std::make_unique<Regularised>(options);
}

}  // namespace kronbit::search
