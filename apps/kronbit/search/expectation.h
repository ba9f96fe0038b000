// What the model of a run expects of configurations: shared by rank and report.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/kronbit/search/run_view.h"
#include "search/ranking.h"

namespace kronbit::app {

/// A configuration, whether a candidate or not, and its accuracy at the last task as the model expects it.
struct Expected {
  Bits bits;
  std::vector<double> w;  ///< weights that draw it, or come nearest to it
  search::Cost cost;
  double accuracy = 0, sd = 0;
  double effective = 0;
  std::optional<double> measured = {};
  double correlation = 0;     ///< of rivals: of what is not known of it with what is not of their configuration
  bool is_candidate = false;  ///< else a model that sees weights of curves foretells the curve nearest to it
};
Expected expect(const RunView& run, const search::Model& model, const search::Goal& goal, const Bits& bits);

/// What a configuration has to beat.
struct Rivals {
  Expected uniform, reversed;  ///< of the size nearest to it
};
Rivals rivals(const RunView& run, const search::Model& model, const search::Goal& goal, size_t candidate);

/// Formula:  sqrt(sd_a² + sd_b² - 2 correlation sd_a sd_b)
double sd_of_difference(double sd_a, double sd_b, double correlation);

/// One side of a comparison: a configuration and its accuracy, expected or measured.
struct Contender {
  Bits bits;
  double accuracy = 0, sd = 0, bytes = 0;
  double milliseconds = 0;  ///< 0: not known
};
/// What the accuracies are, and so where the doubt comes from.
enum class Source { Model, Test };
/// A sentence without its subject, "beats the uniform 4-bit network by 0.52 points with 3.1 % fewer bytes", where times
/// are known "and 1.5 % less time", and whether that is within the doubt: two standard deviations of the difference.
std::string verdict(const Contender& best, const Contender& uniform, Source source, double correlation = 0);
std::string expected_verdict(const Expected& best, const Expected& uniform);

/// 4 P: bytes of the convolutions in floating point.
double fp32_bytes(const SearchSpace& space);

/// "0.123 MB", with more digits for small networks.
std::string megabytes(double bytes);

/// "1.234 ms".
std::string milliseconds(double time);

}  // namespace kronbit::app
