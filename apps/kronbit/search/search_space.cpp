#include "apps/kronbit/search/search_space.h"

#include <algorithm>

#include "nn/models/models.h"
#include "search/strategies/refine.h"
#include "tensor/io/parse.h"

namespace kronbit::app {
namespace {

constexpr size_t kNearTheLimit = 64;  // as many as max-value weighs against each other

std::vector<double> parse_tasks(const std::string& text) {
  const std::vector<double> epochs = parse_numbers(text, 0, 1e6, "--tasks");
  if (epochs.size() > 16) input_error("--tasks", "wanted at most 16 tasks, got {}", epochs.size());
  for (size_t i = 1; i < epochs.size(); ++i) {
    if (epochs[i] <= epochs[i - 1]) input_error("--tasks", "wanted epochs that increase, got {}", text);
  }
  return epochs;
}

search::Inputs inputs_of(const SearchSettings& s) {
  const bool without = parse_int(s.probe, 0, 1'000'000, "--probe") == 0;
  if (s.model != "auto") {
    const search::Inputs inputs = search::parse_inputs(s.model);
    if (without && search::needs_sensitivities(inputs))
      input_error("--model", "{}: wanted sensitivities (--probe N), got --probe 0", s.model);
    return inputs;
  }
  return s.errors.empty() ? search::Inputs::Curve : search::Inputs::BitsAndError;
}

search::Candidate make_configuration(const Bits& bits, const search::Curve& curve, const search::CostOf& cost_of,
                                     const search::ErrorTable& errors) {
  search::Candidate made{bits, curve.fit(bits), cost_of(bits)};
  if (!errors.empty()) made.log_error = search::log_error(errors, bits);
  return made;
}

/// What is run first beside --try. By accuracy under a limit the largest uniform list that fits, for smaller ones say
/// nothing about the best; else 4, 3 and 2 bits, or from the most that the limits allow.
std::vector<Bits> baselines(const SearchSettings& s, const SearchSpace& space, const search::LayerRules& rules) {
  std::vector<Bits> lists;
  if (s.no_baselines) return lists;
  const auto uniform = [&](int b) { return Bits(space.layers.size(), b); };
  if (s.space < 2) {
    int most = 4;
    while (most > 1 && !space.limits.allow(space.cost_of(uniform(most)))) --most;
    for (int b = most; b >= 1 && b > most - 3; --b) lists.push_back(uniform(b));
    return lists;
  }
  const bool one = space.goal.by == search::By::Accuracy && space.limits.any();
  int most = one ? kMaxBits : 4;
  while (most >= kMinBits && !space.limits.allow(space.cost_of(rules.apply(uniform(most))))) --most;
  for (int b = most; b >= kMinBits && b > most - (one ? 1 : 3); --b) lists.push_back(rules.apply(uniform(b)));
  return lists;
}

/// Candidates beside those of the curve, from the errors of single layers: what is best at the limits and its nearest,
/// then the best for every smaller size where the front of size and error bends.
std::vector<Bits> allocations(const SearchSettings& s, const SearchSpace& space, const search::LayerRules& rules) {
  std::vector<Bits> lists;
  if (space.errors.empty()) return lists;
  const search::AllocationProblem problem = {.errors = space.errors,
                                             .cost = space.cost_of,
                                             .rules = rules,
                                             .limits = space.limits,
                                             .several_exactly = s.space >= 3};
  if (const auto best = s.space >= 2 && space.limits.any() ? search::find_allocation(problem) : std::nullopt) {
    lists.push_back(best->bits);
    std::vector<std::pair<double, Bits>> near;
    for (Bits& bits : search::neighbours(best->bits, rules))
      if (space.limits.allow(space.cost_of(bits)))
        near.emplace_back(search::log_error(space.errors, bits), std::move(bits));
    std::sort(near.begin(), near.end());
    for (size_t i = 0; i < std::min(kNearTheLimit, near.size()); ++i) lists.push_back(std::move(near[i].second));
  }
  for (search::Allocation& a : search::allocation_front(problem)) lists.push_back(std::move(a.bits));
  return lists;
}

/// Throws: InputError for bits that the rules would change: no answer could be chosen from them.
void check_rules(const SearchSettings& s, const Bits& bits, const search::LayerRules& rules) {
  const Bits kept = rules.apply(bits);
  if (s.space >= 2 && kept != bits)
    input_error("--try",
                "wanted bits that keep to --fix, --tie, --choices, --bits-min and --bits-max, such as {}, got {}",
                format_bits(kept), format_bits(bits));
}

/// lambda of each task: forward passes (a training image counts three: forward, backward to data and to weights), seconds
/// or what the user says. Those to be measured are forward passes until they are.
std::vector<double> parse_costs(const SearchSettings& s, const std::vector<double>& epochs) {
  std::vector<double> costs;
  if (!s.measured_costs.empty() && s.measured_costs.size() != epochs.size())
    input_error("measured_costs", "wanted {} numbers, one per task, got {}", epochs.size(), s.measured_costs.size());
  if (s.cost == kMeasuredCost && !s.measured_costs.empty()) return s.measured_costs;
  if (s.cost == "work" || s.cost == kMeasuredCost) {
    for (double e : epochs) {
      costs.push_back(static_cast<double>(s.validation_images) + 3 * e * static_cast<double>(s.train_images));
    }
    return costs;
  }
  costs = parse_numbers(s.cost, 1e-9, 1e12, "--cost");
  if (costs.size() != epochs.size())
    input_error("--cost", "wanted {} numbers, one per task, got {}", epochs.size(), costs.size());
  if (!std::is_sorted(costs.begin(), costs.end()))
    input_error("--cost", "wanted numbers that do not fall from task to task, got {}", s.cost);
  return costs;
}

}  // namespace

SearchSpace make_space(const SearchSettings& s) {
  nn::ModelOptions model{.classes = s.classes};
  if (!s.network.input_size.empty()) model.input_size = parse_int(s.network.input_size, 1, 4096, "--input-size");
  SearchSpace space{.net = nn::build(s.network.net, model), .layers = {}, .curve = search::Curve::parse(s.curve)};
  space.layers = nn::conv_layers(space.net);
  check_latency(s.wish, s.latency);
  if (s.latency.known() && s.latency.microseconds.size() != space.layers.size())
    input_error("latency", "wanted times of {} layers, got {}", space.layers.size(), s.latency.microseconds.size());
  space.epochs = parse_tasks(s.tasks);
  space.costs = parse_costs(s, space.epochs);
  space.limits = limits_of(s.wish);
  space.goal = goal_of(s.wish, s.fp32_validation);
  space.goal.limits = space.limits;

  space.cost_of = packed_cost(space.layers, parse_int(s.quantizer.block, 1, 65536, "--block"), s.latency);
  space.errors = s.errors;
  if (!s.errors.empty() && s.errors.size() != space.layers.size())
    input_error("sensitivities", "wanted those of {} layers, got {}", space.layers.size(), s.errors.size());

  search::SpaceOptions options;
  options.curve = space.curve;
  options.layers = layer_names(space.layers);
  options.constraints = constraints_of(s.rules);
  options.limits = space.limits;
  options.cost = space.cost_of;
  const search::LayerRules rules = rules_of(s.rules, space.layers);
  options.more = baselines(s, space, rules);
  for (const std::string& text : s.tries) {
    options.more.push_back(read_bits(text, space.net));
    check_rules(s, options.more.back(), rules);
  }
  options.also = allocations(s, space, rules);
  space.candidates = search::make_candidates(options);
  if (!space.errors.empty())
    for (search::Candidate& c : space.candidates) c.log_error = search::log_error(space.errors, c.bits);
  for (const Bits& bits : options.more) {
    const size_t found = search::find_candidate(space.candidates, bits);
    if (std::find(space.tries.begin(), space.tries.end(), found) == space.tries.end()) space.tries.push_back(found);
  }
  space.explorer.costs = space.costs;
  space.explorer.strategy.name = s.strategy;
  space.explorer.strategy.model.warp = search::parse_warp(s.warp);
  space.explorer.strategy.model.observe = search::parse_observe(s.observe);
  space.explorer.strategy.model.kernel = search::parse_covariance(s.covariance);
  space.explorer.strategy.refine = s.refine;
  space.explorer.strategy.rules = rules;
  space.explorer.strategy.make_candidate = [curve = space.curve, cost_of = space.cost_of,
                                            errors = space.errors](const Bits& bits) {
    return make_configuration(bits, curve, cost_of, errors);
  };
  space.explorer.strategy.model.inputs = inputs_of(s);
  search::make_strategy(space.explorer.strategy);  // mistakes show here
  space.explorer.strategy.goal = space.goal;
  space.explorer.strategy.seed = static_cast<uint64_t>(parse_int(s.seed, 0, INT64_MAX, "--seed"));
  return space;
}

search::Candidate SearchSpace::configuration(const Bits& bits) const {
  const size_t found = search::find_candidate(candidates, bits);
  return found < candidates.size() ? candidates[found] : explorer.strategy.make_candidate(bits);
}

}  // namespace kronbit::app
