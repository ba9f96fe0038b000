// Test functions of multi-fidelity optimisation: what strategies are tried on besides recorded trainings, because
// their optima are known. No network has anything to do with them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kronbit::experiments {

using Point = std::vector<double>;

/// A function with cheaper relatives.
struct TestFunction {
  std::string_view name;  ///< "currin"
  Point low, high;        ///< the box it is looked at in
  bool maximise = true;
  std::vector<double> costs;                           ///< of each task, the last one 1
  std::vector<double (*)(const Point&)> tasks;         ///< in natural coordinates; the last one is the target
  double best = 0.0;                                   ///< optimum of the target over the box
  Point at;                                            ///< where
  double value(size_t task, const Point& unit) const;  ///< unit in [0,1]^d
};

/// All of them.
const std::vector<TestFunction>& test_functions();
/// Throws: InputError for a name that is not among them.
const TestFunction& test_function(std::string_view name);

/// Formula:  (x2 - b x1^2 + c x1 - 6)^2 + 10 (1 - t) cos x1 + 10: Branin's function and relatives of it
double branin(const Point& x, double b, double c, double t);
/// The target of Branin's function: b = 5.1/(4 pi^2), c = 5/pi, t = 1/(8 pi).
double branin(const Point& x);
/// Formula:  sum_i alpha_i exp(-sum_j A_ij (x_j - P_ij)^2)
double hartmann3(const Point& x, const Point& alpha);
double hartmann6(const Point& x, const Point& alpha);

}  // namespace kronbit::experiments
