// Rules on single layers as options, and what a bit list costs: shared by search and sensitivity.
#pragma once

#include <string>
#include <vector>

#include "apps/kronbit/command.h"
#include "apps/kronbit/search/latency_model.h"
#include "nn/layers.h"
#include "search/constraints.h"
#include "search/space.h"

namespace kronbit::app {

/// --fix --tie --bits-min --bits-max --choices
struct RuleOptions {
  std::vector<std::string> fix, tie;
  std::string bits_min = "1", bits_max = "8", choices;
};
void add_rule_options(CLI::App* command, RuleOptions& options);
search::Constraints constraints_of(const RuleOptions& options);
std::vector<std::string> layer_names(const std::vector<nn::ConvInfo>& layers);
/// Throws: InputError for rules that do not fit the layers.
search::LayerRules rules_of(const RuleOptions& options, const std::vector<nn::ConvInfo>& layers);

/// Bytes under the packed rule, bit operations, mean bits per weight, and time where `latency` is known.
search::CostOf packed_cost(std::vector<nn::ConvInfo> layers, int64_t block, LatencyModel latency = {});

}  // namespace kronbit::app
