// Small searches to drive strategies through: candidates with sensitivities, values by a formula.
#pragma once

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>
#include <vector>

#include "fake.h"
#include "search/explorer.h"

namespace kronbit::search {

inline double fake_log_error(const Bits& bits) { return std::log(-std::log((fake_accuracy(bits, 0) - 0.1) / 0.82)); }

inline std::vector<Candidate> with_errors(std::vector<Candidate> candidates) {
  for (Candidate& candidate : candidates) candidate.log_error = fake_log_error(candidate.bits);
  return candidates;
}

/// The eight uniform lists of four layers and every twelfth of the others.
inline std::vector<Candidate> few() {
  const std::vector<Candidate> all = fake_candidates(4);
  std::vector<Candidate> some;
  for (size_t c = 0; c < all.size(); ++c)
    if (c % 12 == 0 || all[c].bits == Bits(4, all[c].bits[0])) some.push_back(all[c]);
  return with_errors(some);
}

inline Candidate fake_candidate(const Bits& bits) {
  return {bits, Curve::bezier(1).fit(bits), fake_cost(bits), fake_log_error(bits)};
}

inline ExplorerOptions options_for(std::string_view name, std::vector<double> costs = {1, 4, 9}) {
  ExplorerOptions options;
  options.costs = std::move(costs);
  options.strategy.name = name;
  options.strategy.seed = 5;
  options.strategy.model.starts = 1;
  return options;
}

inline std::vector<double> fake_values(const Bits& bits, int task) {
  std::vector<double> accuracies;
  for (int t = 0; t <= task; ++t) accuracies.push_back(fake_accuracy(bits, t));
  return accuracies;
}

inline void tell_next(Explorer& explorer, bool fails = false) {
  const PlannedRun run = *explorer.first_waiting();
  if (fails)
    explorer.drop();
  else
    explorer.tell(fake_values(explorer.candidates()[run.candidate].bits, run.task));
}

/// Plans and tells until nothing is left or `most` runs were told; every `failing`th fails.
inline std::vector<PlannedRun> drive(Explorer& explorer, size_t most = 10000, size_t failing = 0) {
  while (explorer.history().told.size() < most) {
    if (explorer.round_finished()) {
      Plan plan = explorer.plan_round();
      if (plan.runs.empty()) break;
      explorer.begin_round(std::move(plan));  // checks that it is legal
    }
    tell_next(explorer, failing > 0 && explorer.history().told.size() % failing == failing - 1);
  }
  std::vector<PlannedRun> runs;
  for (const Told& told : explorer.history().told) runs.push_back(told.run);
  return runs;
}

inline std::vector<std::pair<size_t, int>> what(const std::vector<PlannedRun>& runs) {
  std::vector<std::pair<size_t, int>> pairs;
  for (const PlannedRun& run : runs) pairs.push_back({run.candidate, run.task});
  return pairs;
}

inline std::vector<Bits> bits_run(const Explorer& explorer) {
  std::vector<Bits> bits;
  for (const Told& told : explorer.history().told) bits.push_back(explorer.candidates()[told.run.candidate].bits);
  return bits;
}

}  // namespace kronbit::search
