// What a recorded table says by itself, without a model: how straight a line of the summed errors is, and how much of an
// accuracy is the luck of its training.
#pragma once

#include <string>
#include <vector>

#include "search/replay.h"
#include "search/table.h"
#include "tensor/io/json.h"

namespace kronbit::experiments {

/// For every task and some functions of S, the summed errors of the layers: how far the logits of all recorded accuracies
/// are from a straight line over the function (root mean square, logits).
/// Requires: candidates with errors
Json judge_error_forms(const search::Problem& problem, const std::vector<double>& epochs);

/// For every task what only the seed of a training changes: the standard deviation of accuracies (fractions) between
/// trainings of equal bits, pooled over all configurations with several, and over those above 90 % at the last task.
/// Formula:  sd^2 = sum (n_c - 1) s_c^2 / sum (n_c - 1)
/// Returns:  [] when no configuration was trained twice
Json judge_seeds(const search::Table& table);

/// Both as sections of a page, from a JSON object with them under "error_forms" and "seeds"; "" without.
std::string recorded_facts_markdown(const Json& json);

}  // namespace kronbit::experiments
