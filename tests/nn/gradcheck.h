// Central differences against backward(): one harness for every operator.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "nn/autograd.h"
#include "tests/nn/random_tensors.h"

namespace kronbit::nn {

/// An operator (or a small graph) and where to differentiate it.
struct GradCase {
  std::string name;
  std::vector<Tensor> inputs;  ///< f64; every one is differentiated, parameters too
  std::function<Var(std::vector<Var>& inputs)> f;
  double tolerance = 1e-6;  ///< |analytic - numeric| <= tolerance * max(1, largest |numeric| of the input)
};

/// Projects f's output on a fixed random tensor and compares d(projection)/d(input) with (p(x + h) - p(x - h)) / 2h,
/// h = 1e-5, entry by entry (`sample` of them, evenly spread, in larger inputs). Checks too that the padding lanes of
/// output and gradients are zero and that both have the same bits with 1 and 3 threads.
/// Returns: "" or a line that says what is wrong where.
std::string gradient_error(const GradCase& c, int64_t sample = 60);

/// For test names and messages: gtest prints the case's name.
inline void PrintTo(const GradCase& c, std::ostream* out) { *out << c.name; }

}  // namespace kronbit::nn
