// What kronbit sensitivity found, and its forms: JSON, CSV, a picture, tables for people.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nn/layers.h"
#include "quant/sensitivity.h"
#include "search/allocation.h"

namespace kronbit::app {

/// Accuracies with single layers treated apart, at one number of bits.
struct LayerAccuracies {
  int bits = 0;
  std::vector<double> alone;             ///< only this layer at `bits`, all others in floating point
  std::optional<double> all = {};        ///< every layer at `bits`
  std::vector<double> all_but_one = {};  ///< every layer but this one at `bits`; empty: not measured
};

/// Bits by the table alone, beside the uniform list of most bits within the same limit.
struct AllocationResult {
  std::string target;  ///< as the user wrote it
  search::Allocation found;
  std::optional<search::Allocation> uniform;  ///< none where not even 1 bit is within the limit
};

struct SensitivityReport {
  quant::Sensitivity table;
  std::vector<nn::ConvInfo> layers;
  double fp32 = 0;                      ///< accuracy without quantization
  int64_t images = 0;                   ///< of the accuracies
  std::vector<LayerAccuracies> levels;  ///< as --bits lists them
  std::vector<AllocationResult> allocations;
  int rank_bits = 2;  ///< the layers are ranked by their logit MSE at these bits

  /// Layers, the most sensitive first; ties in order of execution.
  std::vector<size_t> order() const;
  /// Share of the convolutions' weights.
  double share(size_t layer) const;
};

Json to_json(const SensitivityReport& report);
/// rank,layer,weights,share,bits,accuracy,drop,logit_mse,kl: one line per layer and number of bits 1..8; accuracy and
/// drop only where they were measured.
std::string csv_of(const SensitivityReport& report);
/// A heat map of the logit MSE, layers x bits, as an <svg> element; "" and why in `problem` when it cannot be drawn.
std::string picture_of(const SensitivityReport& report, std::string& problem);
void print_report(const SensitivityReport& report);

}  // namespace kronbit::app
