#include "search/space.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "tensor/base/error.h"

namespace kronbit::search {
namespace {

/// Weighted means of points, by bit list.
class Regions {
 public:
  void add(const Bits& bits, const std::vector<double>& w) {
    Sum& sum = sums_[bits];
    sum.w.resize(w.size(), 0.0);
    for (size_t j = 0; j < w.size(); ++j) sum.w[j] += w[j];
    ++sum.points;
  }
  bool contains(const Bits& bits) const { return sums_.contains(bits); }
  size_t size() const { return sums_.size(); }
  std::vector<CurvePoint> points() const {
    std::vector<CurvePoint> result;
    for (const auto& [bits, sum] : sums_) {
      result.push_back({bits, sum.w});
      for (double& weight : result.back().w) weight /= static_cast<double>(sum.points);
    }
    return result;
  }

 private:
  struct Sum {
    std::vector<double> w;
    size_t points = 0;
  };
  std::map<Bits, Sum> sums_;  // ordered: the result is sorted
};

/// b - 1 changes where 8 p + 1 passes k + 1/2, k = 1..7: p = (2k - 1)/16.
constexpr int kSteps = kMaxBits - kMinBits;

/// a u + b v = c in the plane of the two weights, all integers.
struct PlaneLine {
  int64_t a, b, c;
};

/// Where layer i = 1..n changes its bits, (n - i) u + i v = n (2k - 1)/16, and the four sides of the square.
std::vector<PlaneLine> lines_of(int64_t n) {
  std::vector<PlaneLine> lines = {{1, 0, 0}, {1, 0, 1}, {0, 1, 0}, {0, 1, 1}};
  for (int64_t i = 1; i <= n; ++i)
    for (int64_t k = 1; k <= kSteps; ++k) lines.push_back({16 * (n - i), 16 * i, n * (2 * k - 1)});
  return lines;
}

/// The bits just beside the point (u, v)/det in the direction (du, dv), decided in integers.
Bits bits_beside(int64_t n, int64_t det, int64_t u, int64_t v, int64_t du, int64_t dv) {
  Bits bits(static_cast<size_t>(n));
  for (int64_t i = 1; i <= n; ++i) {
    // 16 n det p = here; on a step exactly, the direction decides; along the step line counts as above (round half up).
    const int64_t here = 16 * ((n - i) * u + i * v);
    const bool rising = (n - i) * du + i * dv >= 0;
    int b = kMinBits;
    for (int64_t k = 1; k <= kSteps; ++k) {
      const int64_t step = n * (2 * k - 1) * det;
      if (here > step || (here == step && rising)) ++b;
    }
    bits[static_cast<size_t>(i - 1)] = b;
  }
  return bits;
}

/// All regions of the linear curve. The lines cut the square into convex regions, one per bit list (a point on a line
/// belongs to the region above it). Every region has corners; at each corner it lies between two lines that meet there.
/// So: for every two lines that meet in the square, look into the four angles between them; the mean of a region's
/// corners is inside it.
Regions linear_regions(int64_t n) {
  Regions regions;
  const std::vector<PlaneLine> lines = lines_of(n);
  for (size_t p = 0; p < lines.size(); ++p)
    for (size_t q = p + 1; q < lines.size(); ++q) {
      int64_t det = lines[p].a * lines[q].b - lines[q].a * lines[p].b;
      if (det == 0) continue;
      int64_t u = lines[p].c * lines[q].b - lines[q].c * lines[p].b;
      int64_t v = lines[p].a * lines[q].c - lines[q].a * lines[p].c;
      if (det < 0) det = -det, u = -u, v = -v;
      if (u < 0 || u > det || v < 0 || v > det) continue;
      const std::vector<double> corner = {static_cast<double>(u) / static_cast<double>(det),
                                          static_cast<double>(v) / static_cast<double>(det)};
      for (const auto& [sp, sq] : {std::array{1, 1}, {1, -1}, {-1, 1}, {-1, -1}}) {
        const int64_t du = sp * lines[p].b + sq * lines[q].b;
        const int64_t dv = -sp * lines[p].a - sq * lines[q].a;
        const bool leaves = (u == 0 && du < 0) || (u == det && du > 0) || (v == 0 && dv < 0) || (v == det && dv > 0);
        if (!leaves) regions.add(bits_beside(n, det, u, v, du, dv), corner);
      }
    }
  return regions;
}

/// One weight: p of every layer is a + f w; the bits change only where some layer passes a step.
Regions one_weight_regions(const Curve& curve, int64_t n) {
  std::vector<double> ends = {0.0, 1.0};
  for (int64_t i = 1; i <= n; ++i) {
    const Curve::Basis basis = curve.basis(static_cast<double>(i) / static_cast<double>(n));
    for (int k = 1; k <= kSteps && basis.functions[0] != 0.0; ++k) {
      const double w = ((2 * k - 1) / 16.0 - basis.constant) / basis.functions[0];
      if (w > 0.0 && w < 1.0) ends.push_back(w);
    }
  }
  std::sort(ends.begin(), ends.end());
  Regions regions;
  for (size_t e = 1; e < ends.size(); ++e) {
    const std::vector<double> middle = {0.5 * (ends[e - 1] + ends[e])};
    if (ends[e] - ends[e - 1] > 1e-12) regions.add(curve.bits(middle, n), middle);
  }
  const std::vector<double> end = {1.0};  // halves round up: its list may be that of the end alone
  if (const Bits bits = curve.bits(end, n); !regions.contains(bits)) regions.add(bits, end);
  return regions;
}

Regions sampled_regions(const Curve& curve, int64_t n, size_t most) {
  constexpr size_t kSamples = 200000;
  const std::vector<double> shift(static_cast<size_t>(curve.weights()), 0.5);
  const std::vector<Curve::Basis> bases = curve.layer_bases(n);
  Regions regions;
  for (size_t sample = 0; sample < kSamples; ++sample) {
    const std::vector<double> w = space_filling_point(sample, shift);
    const Bits bits = Curve::bits(w, bases);
    if (regions.size() < most || regions.contains(bits)) regions.add(bits, w);
  }
  return regions;
}

std::string limits_text(const Limits& limits) {
  std::string text;
  if (limits.max_bytes > 0) text += fmt::format(" at most {:.0f} bytes", limits.max_bytes);
  if (limits.max_average_bits > 0) text += fmt::format(" at most {} bits per weight", limits.max_average_bits);
  if (limits.max_bops > 0) text += fmt::format(" at most {:.0f} bit operations", limits.max_bops);
  if (limits.max_milliseconds > 0) text += fmt::format(" at most {} ms", limits.max_milliseconds);
  return text;
}

}  // namespace

std::vector<double> space_filling_point(size_t index, const std::vector<double>& shift) {
  const double d = static_cast<double>(shift.size());
  double g = 2.0;
  for (int i = 0; i < 60; ++i) g = std::pow(1.0 + g, 1.0 / (d + 1.0));
  std::vector<double> x(shift.size());
  double step = 1.0;
  for (size_t j = 0; j < x.size(); ++j) {
    step /= g;
    const double value = shift[j] + static_cast<double>(index + 1) * step;
    x[j] = value - std::floor(value);
  }
  return x;
}

std::vector<CurvePoint> distinct_points(const Curve& curve, int64_t layers, size_t most) {
  if (layers < 1 || layers > 400) input_error("search", "layers: wanted 1..400, got {}", layers);
  if (curve.is_linear_bezier()) return linear_regions(layers).points();
  if (curve.weights() == 1) return one_weight_regions(curve, layers).points();
  return sampled_regions(curve, layers, most).points();
}

std::vector<Candidate> make_candidates(const SpaceOptions& options) {
  const int64_t layers = static_cast<int64_t>(options.layers.size());
  const LayerRules rules(options.constraints, options.layers);
  Regions regions;
  for (const CurvePoint& point : distinct_points(options.curve, layers)) regions.add(rules.apply(point.bits), point.w);
  std::vector<Candidate> candidates;
  Candidate smallest;
  double least_milliseconds = 1e300;
  const auto add_within_limits = [&](Candidate candidate) {
    candidate.cost = options.cost(candidate.bits);
    if (smallest.bits.empty() || candidate.cost.bytes < smallest.cost.bytes) smallest = candidate;
    least_milliseconds = std::min(least_milliseconds, candidate.cost.milliseconds);
    if (options.limits.allow(candidate.cost)) candidates.push_back(std::move(candidate));
  };
  for (CurvePoint& point : regions.points()) add_within_limits({std::move(point.bits), std::move(point.w), {}});
  for (const Bits& bits : options.also)
    if (find_candidate(candidates, bits) == candidates.size()) add_within_limits({bits, options.curve.fit(bits), {}});
  if (candidates.empty())
    input_error("search",
                "limits: wanted{}, got nothing that small: the smallest candidate, {}, has {:.0f} bytes and {:.3f} "
                "bits per weight{}",
                limits_text(options.limits), format_bits(smallest.bits), smallest.cost.bytes,
                smallest.cost.average_bits,
                least_milliseconds > 0 ? fmt::format("; the fastest takes {:.4g} ms", least_milliseconds) : "");
  for (const Bits& bits : options.more) {
    check_bits("search", bits, layers);
    if (find_candidate(candidates, bits) == candidates.size())
      candidates.push_back({bits, options.curve.fit(bits), options.cost(bits)});
  }
  return candidates;
}

size_t find_candidate(const std::vector<Candidate>& candidates, const Bits& bits) {
  const auto found =
      std::find_if(candidates.begin(), candidates.end(), [&](const Candidate& c) { return c.bits == bits; });
  return static_cast<size_t>(found - candidates.begin());
}

}  // namespace kronbit::search
