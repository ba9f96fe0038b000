// What is wanted of a configuration: one number to order configurations by.
#pragma once

#include <string_view>

#include "search/space.h"

namespace kronbit::search {

enum class By { Effective, Accuracy, Size, Bops, Latency };
/// "effective", "accuracy", "size", "bops", "latency". Throws: InputError.
By parse_by(std::string_view text);
std::string_view name_of(By by);

/// Formula:  E = accuracy - (sum_l b_l - 4 n) / k: at k = 100 every bit beyond 4 n costs one point of accuracy
/// Source:   paper §3.3
double effective_accuracy(double accuracy, const Bits& bits, double k = 100.0);

struct Goal {
  By by = By::Effective;
  double k = 100.0;           ///< of the effective accuracy
  double min_accuracy = 0.0;  ///< configurations below it come after all others
  Limits limits = {};         ///< configurations outside them (only those the user asked for) come last of all
};

/// Larger is better.
/// Formula:  effective: E; accuracy: a; size: -bytes; bops: -bops; latency: -milliseconds; below min_accuracy:
///           -1e16 (1 + min_accuracy - a); outside the limits -1e18 (2 - a)
double score(const Goal& goal, double accuracy, const Bits& bits, const Cost& cost);

}  // namespace kronbit::search
