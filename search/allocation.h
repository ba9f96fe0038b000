// Bits from a table of errors alone: the bit list whose summed error is least within limits. Knows nothing of networks;
// the table usually holds the change of the logits when one layer is quantized, whose sum is nearly that of all layers.
#pragma once

#include <optional>
#include <vector>

#include "search/space.h"

namespace kronbit::search {

/// errors[l][b-1]: what layer l alone at b bits does; >= 0, not necessarily falling with b.
using ErrorTable = std::vector<std::vector<double>>;

/// Formula:  ln max(1e-300, sum_l errors[l][b_l - 1])
double log_error(const ErrorTable& errors, const Bits& bits);

/// A bit list with what the table and the cost function say of it.
struct Allocation {
  Bits bits;
  double log_error = 0.0;
  Cost cost;
};

/// What is allocated. Costs have to be sums over layers (bytes, bit operations and times are); what is returned is
/// checked against the limits with `cost` itself.
struct AllocationProblem {
  ErrorTable errors;
  CostOf cost;
  LayerRules rules;    ///< fixed and tied layers, allowed bits
  Limits limits = {};  ///< none: the price is the size
  /// false: within several limits b(theta) and uniform lists only (searches that began so keep their candidates).
  bool several_exactly = true;
};

/// The best bit list found within the limits.
/// Formula:  argmin_b sum_l s_l(b_l) subject to P_i(b) <= 1, P_i = cost / limit i: layer by layer over the sums of
///           (P, s) that none other dominates (Nemhauser & Ullmann 1969); then improved while anything fits: one layer
///           to other bits by largest ds / dP, or one up and one down. Beside it the last within the limits of
///           b(theta) = argmin_b sum_l s_l(b_l) + theta sum_i P_i(b), and the best uniform list.
/// Exactness: optimal while no more than 16,384 sums (with three limits or four: 1,024) stay undominated; beyond that
///            the least error of each of as many equal boxes of P goes on. Never worse than any uniform list within the
///            limits. Deterministic.
/// Throws:    InputError when not even the cheapest list is within the limits; InternalError for a table that does not
///            fit the layers
Allocation allocate(const AllocationProblem& problem);
/// The same; nothing where nothing is within the limits.
std::optional<Allocation> find_allocation(const AllocationProblem& problem);

/// All b(theta) within the limits by rising price, from the cheapest list to the one of least error: the lower convex
/// hull of (price, error) over all bit lists. May be empty.
std::vector<Allocation> allocation_front(const AllocationProblem& problem);

}  // namespace kronbit::search
