#include "apps/experiments/common/table_plan.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <set>

#include "apps/kronbit/search/rule_options.h"
#include "search/allocation.h"
#include "tensor/base/error.h"
#include "tensor/io/parse.h"
#include "tensor/io/text.h"
#include "tensor/rng.h"

namespace kronbit::experiments {
namespace {

constexpr uint64_t kPlanSeed = 20;
constexpr int64_t kBlock = 32;                                // of the packed sizes
constexpr double kFewestMeanBits = 1.5, kMostMeanBits = 6.0;  // of the allocations
/// One in so many entries of a kind is trained with every seed.
constexpr size_t kRepeatEvery = 3;

/// 0..count-1 in an order whose beginnings are spread evenly: the bits of a counter, reversed.
std::vector<size_t> spread_order(size_t count) {
  const size_t top = std::bit_ceil(count);
  std::vector<size_t> order;
  for (size_t i = 0; i < top; ++i) {
    size_t reversed = 0;
    for (size_t bit = 1; bit < top; bit <<= 1) reversed = (reversed << 1) | ((i & bit) != 0);
    if (reversed < count) order.push_back(reversed);
  }
  return order;
}

class Planner {
 public:
  Planner(const std::vector<nn::ConvInfo>& layers, int64_t count, const quant::Sensitivity& sensitivity)
      : layers_(layers),
        count_(static_cast<size_t>(count)),
        sensitivity_(sensitivity),
        cost_(app::packed_cost(layers, kBlock)) {}

  std::vector<TableEntry> plan() {
    add_uniform();
    add_curve("linear", search::Curve::bezier(1), share(0.45));
    add_curve("quadratic", search::Curve::bezier(2), share(0.075));
    add_curve("chebyshev", search::Curve::chebyshev(4), share(0.075));
    add_free("free26", 2, 6, share(0.075));
    add_free("free18", 1, 8, share(0.075));
    const std::vector<Bits> allocations = add_allocations(share(0.10));
    add_neighbours(allocations, count_ > placed_.size() ? count_ - placed_.size() : 0);
    std::stable_sort(placed_.begin(), placed_.end(),
                     [](const Placed& a, const Placed& b) { return a.position < b.position; });
    placed_.resize(std::min(placed_.size(), count_));
    std::vector<TableEntry> entries;
    for (Placed& placed : placed_) {
      placed.entry.id = std::ssize(entries);
      entries.push_back(std::move(placed.entry));
    }
    return entries;
  }

 private:
  struct Placed {
    double position;  ///< in [0,1]: kinds are mixed by it
    TableEntry entry;
  };

  size_t share(double fraction) const {
    return static_cast<size_t>(std::lround(fraction * static_cast<double>(count_)));
  }
  Rng rng(const std::string& kind, uint64_t index) const {
    uint64_t key = 0;
    for (const char c : kind) key = key * 131 + static_cast<unsigned char>(c);
    return Rng(kPlanSeed, Purpose::Search, {key, index});
  }
  /// Entry k of `of` of its kind.
  void place(const std::string& kind, size_t k, size_t of, const Bits& bits, const std::vector<double>& w = {}) {
    seen_.insert(bits);
    // The uniform lists are what everything is compared with: they come early.
    const double span = kind == "uniform" ? 0.1 : 1.0;
    const double position = span * (static_cast<double>(k) + 0.5) / static_cast<double>(of);
    placed_.push_back({position, {0, kind, bits, w, cost_(bits), k % kRepeatEvery == 0}});
  }

  void add_uniform() {
    size_t k = 0;
    for (const int bits : {4, 3, 2, 6, 5, 8, 1, 7}) place("uniform", k++, 8, Bits(layers_.size(), bits));
  }

  void add_curve(const std::string& kind, const search::Curve& curve, size_t wanted) {
    std::vector<search::CurvePoint> points = search::distinct_points(curve, std::ssize(layers_));
    std::erase_if(points, [&](const search::CurvePoint& p) { return seen_.contains(p.bits); });
    std::stable_sort(points.begin(), points.end(), [&](const search::CurvePoint& a, const search::CurvePoint& b) {
      return cost_(a.bits).bytes < cost_(b.bits).bytes;
    });
    const size_t count = std::min(wanted, points.size());
    size_t k = 0;
    for (const size_t stratum : spread_order(count)) {
      const size_t begin = stratum * points.size() / count, end = (stratum + 1) * points.size() / count;
      const search::CurvePoint& p = points[begin + rng(kind, stratum).below(end - begin)];
      place(kind, k++, count, p.bits, p.w);
    }
  }

  void add_free(const std::string& kind, int low, int high, size_t count) {
    for (size_t k = 0, draw = 0; k < count; ++draw) {
      Rng random = rng(kind, draw);
      Bits bits;
      for (size_t i = 0; i < layers_.size(); ++i)
        bits.push_back(low + static_cast<int>(random.below(static_cast<uint64_t>(high - low + 1))));
      if (!seen_.contains(bits)) place(kind, k++, count, bits);
    }
  }

  std::vector<Bits> add_allocations(size_t wanted) {
    search::AllocationProblem problem{.errors = sensitivity_.mse, .cost = cost_, .rules = app::rules_of({}, layers_)};
    std::vector<Bits> found;
    for (size_t i = 0; i < wanted; ++i) {
      problem.limits.max_average_bits = kFewestMeanBits + (kMostMeanBits - kFewestMeanBits) * static_cast<double>(i) /
                                                              static_cast<double>(std::max<size_t>(1, wanted - 1));
      const Bits bits = search::allocate(problem).bits;
      if (!seen_.contains(bits) && std::find(found.begin(), found.end(), bits) == found.end()) found.push_back(bits);
    }
    size_t k = 0;
    std::vector<Bits> ordered;
    for (const size_t i : spread_order(found.size())) {
      place("sensitivity", k++, found.size(), found[i]);
      ordered.push_back(found[i]);
    }
    return ordered;
  }

  void add_neighbours(const std::vector<Bits>& allocations, size_t count) {
    if (allocations.empty()) return;
    for (size_t k = 0, draw = 0; k < count; ++draw) {
      Rng random = rng("neighbour", draw);
      Bits bits = allocations[k % allocations.size()];
      const std::vector<int64_t> order = random.permutation(std::ssize(bits));
      const uint64_t changes = std::min<uint64_t>(1 + random.below(3), bits.size());
      for (uint64_t c = 0; c < changes; ++c) {
        int& b = bits[static_cast<size_t>(order[c])];
        const bool up = random.below(2) == 1;
        b += b == kMinBits || (up && b < kMaxBits) ? 1 : -1;
      }
      if (!seen_.contains(bits)) place("neighbour", k++, count, bits);
    }
  }

  const std::vector<nn::ConvInfo>& layers_;
  size_t count_;
  const quant::Sensitivity& sensitivity_;
  search::CostOf cost_;
  std::set<Bits> seen_;
  std::vector<Placed> placed_;
};

}  // namespace

std::vector<TableEntry> make_table_plan(const std::vector<nn::ConvInfo>& layers, int64_t count,
                                        const quant::Sensitivity& sensitivity) {
  return Planner(layers, count, sensitivity).plan();
}

void keep_recorded(std::vector<TableEntry>& plan, const std::vector<nn::ConvInfo>& layers, const TableContent& recorded,
                   const std::string& file) {
  const search::CostOf cost = app::packed_cost(layers, kBlock);
  for (size_t row = 0; row < recorded.rows.size(); ++row) {
    const std::string &kind = recorded.cell(row, "kind"), &bits = recorded.cell(row, "bits");
    const int64_t id = parse_int(recorded.cell(row, "id"), 0, INT64_MAX, file + " id");
    if (id >= std::ssize(plan) || plan[static_cast<size_t>(id)].kind != kind || bits.size() != layers.size()) {
      input_error(file, "id {}: wanted bits of {} layers of the kind that the plan has there, got {}, {}", id,
                  layers.size(), quote(kind), quote(bits));
    }
    TableEntry& entry = plan[static_cast<size_t>(id)];
    if (digits(entry.bits) == bits) continue;
    entry.bits = parse_bits(bits, std::ssize(layers));
    entry.w.clear();
    if (const std::string& w = recorded.cell(row, "w"); !w.empty())
      for (const std::string& number : split(w, ' ')) entry.w.push_back(parse_number(number, 0.0, 1.0, file + " w"));
    entry.cost = cost(entry.bits);
  }
}

std::string sampling_rule() {
  return fmt::format(
      "all 8 uniform lists; 45 % of the count from the distinct lists of linear Bezier curves, 7.5 % of quadratic "
      "Bezier "
      "and 7.5 % of Chebyshev curves of 4 weights, each sorted by packed bytes, cut into as many strata of equally "
      "many "
      "lists, one drawn from each; 7.5 % with every layer uniform in 2..6 and 7.5 % in 1..8; 10 % allocations by the "
      "sensitivities (least summed mean squared logit change within {} to {} mean bits per weight, evenly spread); the "
      "rest neighbours of those: 1 to 3 layers one bit up or down. Nothing is in it twice. Kinds are mixed evenly, "
      "sizes "
      "within a kind in bit-reversed order. Every third of a kind is trained with all seeds, the others with seed 1",
      kFewestMeanBits, kMostMeanBits);
}

std::vector<TableJob> table_jobs(const std::vector<TableEntry>& plan, int64_t seeds) {
  std::vector<TableJob> jobs;
  const size_t half = (plan.size() + 1) / 2;
  for (const auto& [begin, end] : {std::pair(size_t{0}, half), std::pair(half, plan.size())}) {
    for (int64_t seed = 1; seed <= seeds; ++seed)
      for (size_t i = begin; i < end; ++i)
        if (seed == 1 || plan[i].repeated) jobs.push_back({i, seed});
  }
  return jobs;
}

}  // namespace kronbit::experiments
