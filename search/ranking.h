// After exploring: every candidate, run or not, ordered by what the model expects of it at the last task; and the
// configurations that a result has to be compared with.
#pragma once

#include <optional>
#include <vector>

#include "search/explorer.h"
#include "search/model.h"

namespace kronbit::search {

/// One candidate as the ranking sees it.
struct Ranked {
  size_t candidate = 0;
  double accuracy = 0.0;           ///< expected at the last task given everything measured, within [0,1]
  double sd = 0.0;                 ///< of that expectation, without the noise of a single evaluation
  std::optional<double> measured;  ///< at the last task
  double effective = 0.0;          ///< effective_accuracy(accuracy)
  double score = 0.0;              ///< score(goal, accuracy)
  bool on_front = false;  ///< no other candidate within the limits is expected to be as small and more accurate
};

/// The candidates within `limits`, best score first (ties: fewer bytes, then lower index), without those that failed for
/// good before their last task was known: nobody could use them. A measured value is ranked by the expectation too,
/// which has seen it: the largest of many noisy values is too good to be true. candidates: the explorer's, priced as
/// the goal wants. Source: paper §3.3
std::vector<Ranked> rank(const Model& model, const Explorer& explorer, const std::vector<Candidate>& candidates,
                         const Goal& goal, const Limits& limits);
/// Accuracies at the last task, where it was run.
std::vector<std::optional<double>> measured_at_last_task(const Explorer& explorer);

/// Indices of the points that no other point dominates (a lower or equal price and at least the accuracy, one of
/// them strictly), by rising price. Equal points: the first.
std::vector<size_t> pareto_front(const std::vector<double>& prices, const std::vector<double>& accuracy);

// What to compare a configuration with.

/// The same bits for every layer, of the size nearest to `bytes` (ties: fewer bits).
Bits nearest_uniform(int64_t layers, double bytes, const CostOf& cost);
/// The candidate back to front, raised or lowered as a whole until its size is nearest to the candidate's: its curve, or
/// its bits where no curve draws them.
/// Formula:  round_half_up(clamp(h_{n+1-i} + s, 1, 8)), h_i = 8 p(x_i) + 1 of the curve or b_i, s the best of -7,
///           -7 + 1/16 .. 7 (ties: smallest |s|)
Bits reversed_of_equal_size(const Curve& curve, const Candidate& candidate, const CostOf& cost);

}  // namespace kronbit::search
