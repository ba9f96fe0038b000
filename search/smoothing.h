// Accuracies with less of the luck of the validation images in them. An accuracy counts right answers; how far the
// answers are from those of the network before quantization is a smooth number, and nearly decides the accuracy.
#pragma once

#include <vector>

#include "search/history.h"

namespace kronbit::search {

/// As many configurations have to be known at a task, with their divergences, for its accuracies to be smoothed.
inline constexpr size_t kEnoughToSmooth = 6;

/// Per candidate the accuracies of the tasks known.
/// Formula:  (a + logistic(c0 + c1 D + c2 sqrt(D))) / 2, D the divergence; c of each task by least squares of logit(a),
///           the accuracies first clipped to [1e-3, 1 - 1e-3], with weights a (1 - a), over what is known of it. a
///           itself where fewer than kEnoughToSmooth are known or D is not
std::vector<std::vector<double>> smoothed_accuracies(const History& history);

}  // namespace kronbit::search
