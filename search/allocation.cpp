#include "search/allocation.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <tuple>

#include "tensor/base/error.h"

namespace kronbit::search {
namespace {

constexpr size_t kMostStates = 1 << 14;  // after each unit

double error_at(const ErrorTable& errors, size_t layer, int bits) {
  return errors[layer][static_cast<size_t>(bits - kMinBits)];
}

Cost plus(const Cost& a, const Cost& b, double sign = 1.0) {
  return {a.bytes + sign * b.bytes, a.bops + sign * b.bops, a.average_bits + sign * b.average_bits,
          a.milliseconds + sign * b.milliseconds};
}

/// A cost in units of each limit that is set; the places behind them are 0.
using Prices = std::array<double, 4>;

size_t count_of(const Limits& limits) {
  return (limits.max_bytes > 0) + (limits.max_average_bits > 0) + (limits.max_bops > 0) + (limits.max_milliseconds > 0);
}

Prices prices_of(const Limits& limits, const Cost& cost) {
  Prices prices = {};
  size_t at = 0;
  for (const auto& [limit, value] : {std::pair{limits.max_bytes, cost.bytes},
                                     {limits.max_average_bits, cost.average_bits},
                                     {limits.max_bops, cost.bops},
                                     {limits.max_milliseconds, cost.milliseconds}})
    if (limit > 0) prices[at++] = value / limit;
  return prices;
}

/// One number for what the limits are about.
double price_of(const Limits& limits, const Cost& cost) {
  const Prices prices = prices_of(limits, cost);
  return limits.any() ? std::accumulate(prices.begin(), prices.end(), 0.0) : cost.bytes;
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

/// What the units so far may cost and err.
struct State {
  Prices prices;
  double error;
  size_t from, option;  // state of the units before, option of the last of these
};

/// Those that no other has at most the prices and the error of: by rising first price, and with one limit by falling
/// error.
std::vector<State> undominated(std::vector<State> states, size_t limits) {
  std::sort(states.begin(), states.end(), [](const State& a, const State& b) {
    return std::tie(a.prices, a.error, a.from, a.option) < std::tie(b.prices, b.error, b.from, b.option);
  });
  std::vector<State> kept;
  std::map<double, double> least;  // by rising second price of what is kept: the error, falling
  for (const State& s : states) {
    if (limits > 2) {
      const bool beaten = std::any_of(kept.begin(), kept.end(), [&](const State& k) {
        return k.error <= s.error && k.prices[1] <= s.prices[1] && k.prices[2] <= s.prices[2] &&
               k.prices[3] <= s.prices[3];
      });
      if (!beaten) kept.push_back(s);
      continue;
    }
    const auto above = least.upper_bound(s.prices[1]);
    if (above != least.begin() && std::prev(above)->second <= s.error) continue;
    auto worse = least.lower_bound(s.prices[1]);
    while (worse != least.end() && worse->second >= s.error) worse = least.erase(worse);
    least[s.prices[1]] = s.error;
    kept.push_back(s);
  }
  return kept;
}

/// Of more states than are kept, one of each box of equal shares of every price's range: that of least error (ties: the
/// last). With several limits the cheapest by each price too, so that what is within all of them is not lost.
std::vector<State> thinned(std::vector<State> states, size_t limits) {
  const size_t most = limits > 2 ? kMostStates / 16 : kMostStates;  // comparing each with each takes longer
  if (states.size() <= most) return states;
  const double shares = std::floor(std::pow(static_cast<double>(most), 1.0 / static_cast<double>(limits)));
  std::set<size_t> chosen;
  Prices low = {}, share = {};
  for (size_t l = 0; l < limits; ++l) {
    const auto [least, largest] = std::minmax_element(
        states.begin(), states.end(), [&](const State& a, const State& b) { return a.prices[l] < b.prices[l]; });
    low[l] = least->prices[l];
    share[l] = std::max(1e-300, (largest->prices[l] - low[l]) / shares);
    if (limits > 1) chosen.insert(static_cast<size_t>(least - states.begin()));
  }
  std::map<Prices, size_t> boxes;
  for (size_t i = 0; i < states.size(); ++i) {
    Prices box = {};
    for (size_t l = 0; l < limits; ++l) box[l] = std::floor((states[i].prices[l] - low[l]) / share[l]);
    const auto [found, is_new] = boxes.try_emplace(box, i);
    if (!is_new && states[i].error <= states[found->second].error) found->second = i;
  }
  for (const auto& [box, i] : boxes) chosen.insert(i);
  std::vector<State> kept;
  for (const size_t i : chosen) kept.push_back(states[i]);
  return kept;
}

class Allocator {
 public:
  explicit Allocator(const AllocationProblem& problem);
  /// Every b(theta) by rising price.
  std::vector<Choice> ladder() const;
  std::optional<Choice> best_uniform() const;
  /// The least error within the limits; nothing where nothing is within them.
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
  // From the cheapest option of every unit on, by each limit for itself, as more bits may take less time: then no price
  // falls, and what is beyond a limit stays so.
  const size_t limits = count_of(p_.limits);
  Prices cheapest = prices_of(p_.limits, first_cost_);
  std::vector<std::vector<Prices>> extra;  // of each unit's options
  for (const Unit& unit : units_) {
    std::vector<Prices> prices;
    for (const Option& option : unit.options) prices.push_back(prices_of(p_.limits, option.cost));
    for (size_t l = 0; l < limits; ++l) {
      double least = prices[0][l];
      for (const Prices& each : prices) least = std::min(least, each[l]);
      for (Prices& each : prices) each[l] -= least;
      cheapest[l] += least;
    }
    extra.push_back(std::move(prices));
  }
  std::vector<std::vector<State>> states = {{{cheapest, 0.0, 0, 0}}};
  for (size_t u = 0; u < units_.size(); ++u) {
    std::vector<State> next;
    for (size_t i = 0; i < states.back().size(); ++i)
      for (size_t o = 0; o < units_[u].options.size(); ++o) {
        State after{states.back()[i].prices, states.back()[i].error + units_[u].options[o].error, i, o};
        bool within = true;
        for (size_t l = 0; l < limits; ++l) within = (after.prices[l] += extra[u][o][l]) <= 1.0 + 1e-9 && within;
        if (within) next.push_back(after);
      }
    states.push_back(thinned(undominated(std::move(next), limits), limits));
  }
  std::stable_sort(states.back().begin(), states.back().end(),
                   [](const State& a, const State& b) { return a.error > b.error; });
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
  if (problem.limits.any() && (problem.several_exactly || count_of(problem.limits) == 1))
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
              "limits: wanted something within them, got nothing: the cheapest bit list, {}, has {:.0f} bytes, {:.3f} "
              "bits per weight{}",
              format_bits(least.bits), least.cost.bytes, least.cost.average_bits,
              least.cost.milliseconds > 0 ? fmt::format(" and takes {:.4g} ms", least.cost.milliseconds) : "");
}

std::vector<Allocation> allocation_front(const AllocationProblem& problem) {
  const Allocator allocator(problem);
  std::vector<Allocation> front;
  for (const Choice& choice : allocator.ladder())
    if (allocator.allowed(choice)) front.push_back(allocator.allocation(choice));
  return front;
}

}  // namespace kronbit::search
