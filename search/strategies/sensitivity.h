// Bits allocated by the table of single-layer errors alone: no model, every run at the last task. What a search has to
// beat.
#pragma once

#include "search/strategy.h"

namespace kronbit::search {

/// Candidates in layers of (price, log_error): first those that no other beats in both, then those of the rest, and so
/// on; price is what the goal weighs against accuracy (sum of bits, bytes, bit operations or milliseconds).
///   Goal accuracy: by log_error, the least first: the allocation at the limit, then what is just below it.
///   Other goals: layer by layer, ordered by price, by bisection. The first run is the middle of the layer; the next
///   one halves the wider of the gaps next to the best run of that layer (by score; ties: the cheaper; runs of the same
///   round have no score yet), or next to the second best where that has none, and so on; without any score, the widest
///   gap.
/// Exactness: the score along a layer rises to one maximum wherever accuracy is a concave function of price there; then
///            its best is found in about 2 log2(length) runs
/// Throws:    InputError (from plan) when a candidate has no log_error
std::unique_ptr<Strategy> make_sensitivity(const StrategyOptions& options);

}  // namespace kronbit::search
