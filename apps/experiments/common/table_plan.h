// Which bit lists a recorded table holds, and in which order they are trained: a sample that favours no search, of
// which every beginning is a fair sample too.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "apps/experiments/common/table_file.h"
#include "nn/layers.h"
#include "quant/sensitivity.h"
#include "search/space.h"

namespace kronbit::experiments {

/// A bit list of the table.
struct TableEntry {
  int64_t id = 0;         ///< place in the plan
  std::string kind;       ///< uniform, linear, quadratic, chebyshev, free26, free18, sensitivity or neighbour
  Bits bits;              ///< no two entries have the same
  std::vector<double> w;  ///< of the curve; empty where there is none
  search::Cost cost;      ///< bytes by the packed rule
  bool repeated = false;  ///< trained with every seed, not with the first only
};

/// What sampling_rule() says. Deterministic.
/// Requires: the rows of `sensitivity` are those of `layers`
std::vector<TableEntry> make_table_plan(const std::vector<nn::ConvInfo>& layers, int64_t count,
                                        const quant::Sensitivity& sensitivity);

/// Gives entries that `recorded` has rows of their recorded bits: a table begun by other sensitivities or by an older
/// planner goes on as it is. Throws: InputError "[FILE] ..." where the rows are not of such a plan.
void keep_recorded(std::vector<TableEntry>& plan, const std::vector<nn::ConvInfo>& layers, const TableContent& recorded,
                   const std::string& file);

/// The plan in words, for the head of the table.
std::string sampling_rule();

/// One training: an entry of the plan and a seed, 1 and up.
struct TableJob {
  size_t entry = 0;
  int64_t seed = 1;
};
/// First half of the plan with seed 1, its repeated entries with seed 2, 3, ..., then the same for the second half.
std::vector<TableJob> table_jobs(const std::vector<TableEntry>& plan, int64_t seeds);

}  // namespace kronbit::experiments
