#include "search/allocation.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <tuple>

#include "tensor/base/error.h"

namespace kronbit::search {
namespace {

constexpr size_t kMostStates = 1 << 14;  // of least_error() after each unit

double error_at(const ErrorTable& errors, size_t layer, int bits) {
  return errors[layer][static_cast<size_t>(bits - kMinBits)];
}

Cost plus(const Cost& a, const Cost& b, double sign = 1.0) {
  return {a.bytes + sign * b.bytes, a.bops + sign * b.bops, a.average_bits + sign * b.average_bits,
          a.milliseconds + sign * b.milliseconds};
}

/// One number for what the limits are about.
double price_of(const Limits& limits, const Cost& cost) {
  double price = 0.0;
  if (limits.max_bytes > 0) price += cost.bytes / limits.max_bytes;
  if (limits.max_average_bits > 0) price += cost.average_bits / limits.max_average_bits;
  if (limits.max_bops > 0) price += cost.bops / limits.max_bops;
  if (limits.max_milliseconds > 0) price += cost.milliseconds / limits.max_milliseconds;
  return limits.any() ? price : cost.bytes;
}

/// Bits that a unit may have.
struct Option {
  int bits;
  double error;
  Cost cost;  ///< beyond that of the layers at the fewest bits they may have
  double price;
};

/// Layers that have equal bits, and what they may have.
struct Unit {
  std::vector<size_t> layers;
  std::vector<Option> options;  ///< by rising price
};

/// The options on the lower convex hull of (price, error), from the cheapest to the one of least error.
std::vector<size_t> hull(const std::vector<Option>& options) {
  std::vector<size_t> kept;
  for (size_t i = 0; i < options.size(); ++i) {
    if (!kept.empty() && options[i].error >= options[kept.back()].error) continue;
    while (kept.size() >= 2) {
      const Option &a = options[kept[kept.size() - 2]], &b = options[kept.back()], &c = options[i];
      const bool below = (a.error - b.error) * (c.price - b.price) > (b.error - c.error) * (b.price - a.price);
      if (below) break;
      kept.pop_back();
    }
    kept.push_back(i);
  }
  return kept;
}

/// A choice of one option for every unit.
struct Choice {
  std::vector<size_t> option;
  Cost cost = {};
  double error = 0.0;
};

class Allocator {
 public:
  explicit Allocator(const AllocationProblem& problem);
  /// Every b(theta) by rising price.
  std::vector<Choice> ladder() const;
  std::optional<Choice> best_uniform() const;
  /// The least error within a single limit; nothing where there is another number of limits, or nothing is within it.
  std::optional<Choice> least_error() const;
  Choice improved(Choice choice) const;
  Allocation allocation(const Choice& choice) const;
  bool allowed(const Choice& choice) const { return p_.limits.allow(p_.cost(bits_of(choice))); }

 private:
  Bits bits_of(const Choice& choice) const;
  Choice choice_of(const Bits& bits) const;
  Choice moved(Choice choice, size_t unit, size_t option) const;
  /// Whether the sum of the costs is within the limits: quick, up to rounding.
  bool seems_allowed(const Cost& cost) const { return slack_.allow(cost); }
  std::optional<Choice> best_move(const Choice& choice) const;
  std::optional<Choice> best_exchange(const Choice& choice) const;

  const AllocationProblem& p_;
  size_t layers_;
  std::vector<Unit> units_;
  Cost first_cost_;
  Limits slack_;
};

Allocator::Allocator(const AllocationProblem& problem)
    : p_(problem), layers_(problem.errors.size()), slack_(p_.limits) {
  for (double* limit : {&slack_.max_bytes, &slack_.max_average_bits, &slack_.max_bops, &slack_.max_milliseconds})
    *limit *= 1.0 + 1e-9;
  for (const std::vector<double>& row : p_.errors) {
    KB_CHECK_EQ(row.size(), static_cast<size_t>(kMaxBits));
    for (const double error : row) KB_CHECK(error >= 0.0 && std::isfinite(error));
  }
  std::vector<Bits> uniform;
  for (int b = kMinBits; b <= kMaxBits; ++b) uniform.push_back(p_.rules.apply(Bits(layers_, b)));
  first_cost_ = p_.cost(uniform[0]);
  for (const std::vector<size_t>& group : p_.rules.groups()) {
    Unit unit{group, {}};
    std::set<int> bits;
    for (const Bits& list : uniform) bits.insert(list[group[0]]);
    for (const int b : bits) {
      Option option{b, 0.0, {}, 0.0};
      Bits list = uniform[0];
      for (const size_t layer : group) {
        list[layer] = b;
        option.error += error_at(p_.errors, layer, b);
      }
      option.cost = plus(p_.cost(list), first_cost_, -1.0);
      option.price = price_of(p_.limits, option.cost);
      unit.options.push_back(option);
    }
    std::stable_sort(unit.options.begin(), unit.options.end(), [](const Option& a, const Option& b) {
      return a.price != b.price ? a.price < b.price : a.error < b.error;
    });
    units_.push_back(std::move(unit));
  }
}

Bits Allocator::bits_of(const Choice& choice) const {
  Bits bits(layers_);
  for (size_t u = 0; u < units_.size(); ++u)
    for (const size_t layer : units_[u].layers) bits[layer] = units_[u].options[choice.option[u]].bits;
  return bits;
}

Choice Allocator::choice_of(const Bits& bits) const {
  Choice choice{.option = {}, .cost = first_cost_};
  for (const Unit& unit : units_) {
    const auto found = std::find_if(unit.options.begin(), unit.options.end(),
                                    [&](const Option& o) { return o.bits == bits[unit.layers[0]]; });
    KB_CHECK(found != unit.options.end());
    choice.option.push_back(static_cast<size_t>(found - unit.options.begin()));
    choice.cost = plus(choice.cost, found->cost);
    choice.error += found->error;
  }
  return choice;
}

Choice Allocator::moved(Choice choice, size_t unit, size_t option) const {
  const Option &from = units_[unit].options[choice.option[unit]], &to = units_[unit].options[option];
  choice.cost = plus(plus(choice.cost, from.cost, -1.0), to.cost);
  choice.error += to.error - from.error;
  choice.option[unit] = option;
  return choice;
}

std::vector<Choice> Allocator::ladder() const {
  struct Step {
    double slope;
    size_t unit, to;
  };
  const Choice cheapest{.option = std::vector<size_t>(units_.size())};
  std::vector<Step> steps;
  for (size_t u = 0; u < units_.size(); ++u) {
    const std::vector<size_t> kept = hull(units_[u].options);
    for (size_t k = 1; k < kept.size(); ++k) {
      const Option &from = units_[u].options[kept[k - 1]], &to = units_[u].options[kept[k]];
      steps.push_back({(from.error - to.error) / (to.price - from.price), u, kept[k]});
    }
  }
  // The slopes of one unit fall along its hull, so that its steps stay in order.
  std::stable_sort(steps.begin(), steps.end(), [](const Step& a, const Step& b) { return a.slope > b.slope; });
  std::vector<Choice> choices = {choice_of(bits_of(cheapest))};
  for (const Step& step : steps) choices.push_back(moved(choices.back(), step.unit, step.to));
  return choices;
}

std::optional<Choice> Allocator::best_uniform() const {
  std::optional<Choice> best;
  for (int b = kMinBits; b <= kMaxBits; ++b) {
    Choice choice = choice_of(p_.rules.apply(Bits(layers_, b)));
    if (allowed(choice) && (!best || choice.error < best->error)) best = std::move(choice);
  }
  return best;
}

std::optional<Choice> Allocator::least_error() const {
  const Limits& l = p_.limits;
  if ((l.max_bytes > 0) + (l.max_average_bits > 0) + (l.max_bops > 0) + (l.max_milliseconds > 0) != 1)
    return std::nullopt;
  // What the units so far may cost and err, nothing dominated: by rising price and falling error.
  struct State {
    double price, error;
    size_t from, option;  // state of the units before, option of this one
  };
  const double most = 1.0 + 1e-9;
  // From the cheapest list on, as more bits may cost less time: then no sum falls, and what is beyond the limit stays so.
  double cheapest = price_of(l, first_cost_);
  for (const Unit& unit : units_) cheapest += unit.options[0].price;
  std::vector<std::vector<State>> states = {{{cheapest, 0.0, 0, 0}}};
  for (const Unit& unit : units_) {
    std::vector<State> next;
    for (size_t i = 0; i < states.back().size(); ++i)
      for (size_t o = 0; o < unit.options.size(); ++o) {
        const State& s = states.back()[i];
        const Option& option = unit.options[o];
        const State after{s.price + (option.price - unit.options[0].price), s.error + option.error, i, o};
        if (after.price <= most) next.push_back(after);
      }
    std::sort(next.begin(), next.end(), [](const State& a, const State& b) {
      return std::tie(a.price, a.error, a.from, a.option) < std::tie(b.price, b.error, b.from, b.option);
    });
    std::vector<State> kept;
    for (const State& s : next)
      if (kept.empty() || s.error < kept.back().error) kept.push_back(s);
    if (kept.size() > kMostStates) {  // of equal shares of the price the last one each: the least error
      const double low = kept.front().price, share = (kept.back().price - low) / static_cast<double>(kMostStates);
      const auto place = [&](const State& s) { return std::floor((s.price - low) / share); };
      std::vector<State> thin;
      for (size_t i = 0; i < kept.size(); ++i)
        if (i + 1 == kept.size() || place(kept[i + 1]) != place(kept[i])) thin.push_back(kept[i]);
      kept = std::move(thin);
    }
    states.push_back(std::move(kept));
  }
  for (size_t last = states.back().size(); last-- > 0;) {  // sums of prices are rounded: ask the cost itself
    Choice choice{.option = std::vector<size_t>(units_.size())};
    for (size_t u = units_.size(), at = last; u-- > 0; at = states[u + 1][at].from)
      choice.option[u] = states[u + 1][at].option;
    choice = choice_of(bits_of(choice));
    if (allowed(choice)) return choice;
  }
  return std::nullopt;
}

std::optional<Choice> Allocator::best_move(const Choice& choice) const {
  std::optional<Choice> best;
  double best_rate = 0.0;
  for (size_t u = 0; u < units_.size(); ++u)
    for (size_t o = 0; o < units_[u].options.size(); ++o) {
      const Option &from = units_[u].options[choice.option[u]], &to = units_[u].options[o];
      if (from.error - to.error <= 1e-12 * choice.error) continue;
      const double rate = (from.error - to.error) / std::max(1e-300, to.price - from.price);
      if (rate <= best_rate) continue;
      Choice next = moved(choice, u, o);
      if (!seems_allowed(next.cost) || !allowed(next)) continue;
      best_rate = rate;
      best = std::move(next);
    }
  return best;
}

std::optional<Choice> Allocator::best_exchange(const Choice& choice) const {
  std::optional<Choice> best;
  for (size_t u = 0; u < units_.size(); ++u)
    for (size_t o = 0; o < units_[u].options.size(); ++o) {
      if (units_[u].options[o].error >= units_[u].options[choice.option[u]].error) continue;
      const Choice up = moved(choice, u, o);
      for (size_t v = 0; v < units_.size(); ++v) {
        if (v == u) continue;
        for (size_t q = 0; q < units_[v].options.size(); ++q) {
          const Option &from = units_[v].options[choice.option[v]], &to = units_[v].options[q];
          const double error = up.error + to.error - from.error;
          if (error >= choice.error * (1 - 1e-12) || (best && error >= best->error)) continue;
          if (!seems_allowed(plus(plus(up.cost, from.cost, -1.0), to.cost))) continue;
          Choice next = moved(up, v, q);
          if (allowed(next)) best = std::move(next);
        }
      }
    }
  return best;
}

Choice Allocator::improved(Choice choice) const {
  for (;;) {
    std::optional<Choice> next = best_move(choice);
    if (!next) next = best_exchange(choice);
    if (!next) return choice;
    choice = choice_of(bits_of(*next));  // sums afresh: no rounding piles up
  }
}

Allocation Allocator::allocation(const Choice& choice) const {
  Bits bits = bits_of(choice);
  const Cost cost = p_.cost(bits);
  const double error = log_error(p_.errors, bits);
  return {std::move(bits), error, cost};
}

}  // namespace

double log_error(const ErrorTable& errors, const Bits& bits) {
  KB_CHECK_EQ(errors.size(), bits.size());
  double sum = 0.0;
  for (size_t l = 0; l < bits.size(); ++l) sum += error_at(errors, l, bits[l]);
  return std::log(std::max(1e-300, sum));
}

std::optional<Allocation> find_allocation(const AllocationProblem& problem) {
  const Allocator allocator(problem);
  const std::vector<Choice> ladder = allocator.ladder();
  std::vector<Choice> starts;
  const auto last = std::find_if(ladder.rbegin(), ladder.rend(), [&](const Choice& c) { return allocator.allowed(c); });
  if (last != ladder.rend()) starts.push_back(*last);
  if (std::optional<Choice> uniform = allocator.best_uniform()) starts.push_back(*std::move(uniform));
  if (std::optional<Choice> least = allocator.least_error()) starts.push_back(*std::move(least));
  std::optional<Allocation> best;
  for (const Choice& start : starts) {
    Allocation found = allocator.allocation(allocator.improved(start));
    if (!best || found.log_error < best->log_error) best = std::move(found);
  }
  return best;
}

Allocation allocate(const AllocationProblem& problem) {
  if (std::optional<Allocation> found = find_allocation(problem)) return *std::move(found);
  const Allocator allocator(problem);
  const Allocation least = allocator.allocation(allocator.ladder().front());
  input_error("allocation",
              "limits: wanted something within them, got nothing: the cheapest bit list, {}, has {:.0f} bytes and "
              "{:.3f} bits per weight",
              format_bits(least.bits), least.cost.bytes, least.cost.average_bits);
}

std::vector<Allocation> allocation_front(const AllocationProblem& problem) {
  const Allocator allocator(problem);
  std::vector<Allocation> front;
  for (const Choice& choice : allocator.ladder())
    if (allocator.allowed(choice)) front.push_back(allocator.allocation(choice));
  return front;
}

}  // namespace kronbit::search
