// What a run is hoped to gain, from the mean and standard deviation that a model gives: improvement of one number, of
// the goal, or of the front of accuracy and size. In logarithms, so that hopeless candidates keep an order. Accuracies
// are taken as normal with the given moments, also where the model is one of logits: close where sd is small against
// the distance to 1, which it is for all but the first few runs.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "search/goal.h"

namespace kronbit::search {

/// ln P(f > threshold), f normal; accurate far into both tails. sd = 0: 0 or -infinity.
double log_probability_above(double mean, double sd, double threshold);

/// Formula:  ln E max(0, f - best) = ln sd + ln h(z), h(z) = phi(z) + z Phi(z), z = (mean - best) / sd;
///           h(z) = phi(z) K / (|z| + K) for z < -1, K = 1/(|z| + 2/(|z| + 3/(|z| + ...)))
/// Exactness: relative error of the improvement <= 1e-10 for every z
/// Source:   Jones, Schonlau, Welch 1998; Ament et al. 2023 for the logarithm; the continued fraction is that of Mills'
///           ratio, Abramowitz & Stegun 26.2.14
double log_expected_improvement(double mean, double sd, double best);

/// What is known to be reached: the highest score(goal, .) of the posterior means at candidates run at the last task.
using Incumbent = std::optional<double>;

/// ln of the expected improvement of score(goal, .) when the accuracy is normal.
/// Formula:  effective, accuracy: E (f - a)+ 1[f >= floor], a the accuracy that this candidate needs to score as the
///           incumbent; size, bops, latency: (incumbent's - its own)+ P(f >= floor). While nothing known reaches the
///           floor: P(f >= floor); while nothing is known at all: score(goal, mean + 2 sd), no logarithm
/// Requires: a candidate within goal.limits
double log_goal_improvement(const Goal& goal, const Candidate& candidate, double mean, double sd,
                            const Incumbent& incumbent);

/// A point of the front of accuracy and size.
struct FrontPoint {
  double bytes = 0.0, accuracy = 0.0;
};
/// The points that no other dominates within the reference (bytes below it, accuracy above it), by rising bytes.
std::vector<FrontPoint> front_of(std::vector<FrontPoint> points, const FrontPoint& reference);
/// The area that a front covers up to the reference, the corner of most bytes and least accuracy.
double hypervolume(const std::vector<FrontPoint>& front, const FrontPoint& reference);
/// ln of the expected growth of hypervolume() when a point of exactly known size is added.
/// Formula:  sum_k (t_{k+1} - t_k) E (f - a(t_k))+, t from `bytes` over the sizes of the front to the reference's, a(t)
///           the highest accuracy of size <= t, or the reference's
/// Requires: front from front_of()
double log_hypervolume_improvement(double mean, double sd, double bytes, const std::vector<FrontPoint>& front,
                                   const FrontPoint& reference);

/// What one observation tells about the highest score, per draw of that score.
/// Formula:  -1/2 mean_s ln(1 - rho^2 r (g + r)), g = (s - mean) / sd, r = phi(g) / Phi(g); rho^2 the share of the
///           variance of the score that the observation explains
/// Units:    nats
/// Source:   Moss et al. 2021 (GIBBON), for one candidate
double max_value_information(double mean, double sd, double rho_squared, const std::vector<double>& highest);
/// Quantiles (i + 1/2) / count of the highest of independent normal scores.
/// Source:   Wang & Jegelka 2017, the exact distribution in place of their Gumbel
std::vector<double> quantiles_of_highest(const std::vector<double>& mean, const std::vector<double>& sd, int count);

/// Ranks of points of which both coordinates are to be small: 0 where nothing dominates, then what is left.
/// Source:   Deb et al. 2002, NSGA-II
std::vector<int> nondominated_ranks(const std::vector<double>& a, const std::vector<double>& b);
/// Formula:  sum over both coordinates of the distance between the two neighbours of equal rank, as a share of that
///           rank's range; infinite at both ends
/// Source:   Deb et al. 2002
std::vector<double> crowding_distances(const std::vector<double>& a, const std::vector<double>& b,
                                       const std::vector<int>& ranks);

}  // namespace kronbit::search
