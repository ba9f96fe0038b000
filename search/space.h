// The search space: every distinct bit list that a curve can draw, each once, after the user's constraints.
#pragma once

#include <cstddef>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "search/constraints.h"
#include "search/curve.h"

namespace kronbit::search {

/// A bit list and weights that draw it.
struct CurvePoint {
  Bits bits;
  std::vector<double> w;
};

/// The distinct bit lists of a curve, sorted, each with weights inside the region that draws it (a mean of points of
/// that region, which is convex because p is linear in w).
/// Exactness: complete for two-weight Bezier (2,361 lists at 20 layers, 22,445 at 64) and one-weight curves;
///            other curves: the first `most` lists met by 200,000 points of a low-discrepancy sequence
std::vector<CurvePoint> distinct_points(const Curve& curve, int64_t layers, size_t most = 10000);

/// Point `index` of an additive recurrence in [0,1)^d, starting at `shift`: any first few points fill the cube evenly.
/// Formula:  x_j = frac(shift_j + (index + 1) / g^(j+1)), g the positive root of g^(d+1) = g + 1
/// Source:   Roberts 2018, "The unreasonable effectiveness of quasirandom sequences"
std::vector<double> space_filling_point(size_t index, const std::vector<double>& shift);

/// What a configuration costs to keep and to run: computed by the application, which knows the network.
struct Cost {
  double bytes = 0.0;         ///< of the quantized convolution weights, under the size rule of the run
  double bops = 0.0;          ///< bit operations, sum of MACs * b^2
  double average_bits = 0.0;  ///< per convolution weight
  double milliseconds = 0.0;  ///< per image; 0 = not known
};
using CostOf = std::function<Cost(const Bits&)>;

/// A configuration that may be run.
struct Candidate {
  Bits bits;
  std::vector<double> w;  ///< its place for the model: weights that draw it, or Curve::fit() of its bits
  Cost cost;
  double log_error = std::numeric_limits<double>::quiet_NaN();  ///< ln sum_l s_l(b_l); NaN: no sensitivities known
};

/// What the candidates are made of.
struct SpaceOptions {
  Curve curve = Curve::bezier(1);
  std::vector<std::string> layers;  ///< names, in order of execution
  Constraints constraints;
  Limits limits;
  CostOf cost;
  std::vector<Bits> also;  ///< beside those of the curve: kept where limits allow them
  std::vector<Bits> more;  ///< --try: kept whatever the limits say
};

/// The candidates sorted by bits, then those of `also` and of `more` that are not among them, in their order. Bit lists
/// that become equal under the constraints are one candidate, placed at the mean of their weights. Throws: InputError
/// when nothing satisfies the limits, saying what the smallest candidate needs.
std::vector<Candidate> make_candidates(const SpaceOptions& options);

/// The index of `bits` among the candidates, or candidates.size().
size_t find_candidate(const std::vector<Candidate>& candidates, const Bits& bits);

}  // namespace kronbit::search
