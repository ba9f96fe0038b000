// Golden values: computed twice elsewhere, independently, and equal to the last digit printed here.
#include "apps/experiments/common/test_functions.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tensor/base/error.h"
#include "tensor/rng.h"

namespace kronbit::experiments {
namespace {

/// To half a unit of the tenth digit.
void expect_digits(double value, double golden, std::string_view what) {
  const double unit = std::pow(10.0, std::floor(std::log10(std::abs(golden))) - 9);
  EXPECT_NEAR(value, golden, 0.51 * unit) << what;
}

struct Golden {
  std::string_view name;
  Point x;                    ///< natural coordinates
  std::vector<double> tasks;  ///< cheapest first; NaN: not known
};

TEST(TestFunctions, GoldenValues) {
  const double unknown = std::nan("");
  const Point h3a = {.1, .5, .9}, h3b = {.4, .2, .6}, h6a = {.1, .2, .3, .4, .5, .6}, h6b = {.9, .8, .7, .6, .5, .4};
  const std::vector<Golden> all = {
      {"currin", {.3, .7}, {6.812625739, 6.821175530}},
      {"currin", {.9, .2}, {9.414778605, 9.441803658}},
      {"currin", {.23575, 0}, {13.58264701, unknown}},
      {"currin", {0, 1}, {unknown, 1.180408021}},
      {"park1", {.2, .4, .6, .8}, {13.60596774, 12.73300204}},
      {"park1", {.9, .7, .3, .1}, {4.029957237, 4.404908871}},
      {"park1", {1, 1, 1, 1}, {28.24251565, 25.58925416}},
      {"park2", {.2, .4, .6, .8}, {.6356382659, 1.363031888}},
      {"park2", {.9, .7, .3, .1}, {3.286963515, 3.572469596}},
      {"park2", {0, 0, 0, .3}, {unknown, .6666666667}},
      {"borehole", {.15, 100, 115600, 1110, 116, 700, 1120, 12045}, {246.3515926, 309.5755877}},
      {"borehole", {.05, 50000, 63070, 990, 63.1, 820, 1680, 9855}, {unknown, 7.819676329}},
      {"branin-a", {0, 5}, {20.55211264, 20.57711264, 20.60211264}},
      {"branin-a", {7, 3}, {19.76393612, 20.12997774, 20.51806936}},
      {"branin-b", {0, 5}, {20.60211264, 20.60211264, 20.60211264}},
      {"branin-b", {7, 3}, {62.27395903, 35.39351420, 20.51806936}},
      {"branin-c", {0, 5}, {15.74535209, 20.60211264}},
      {"branin-c", {7, 3}, {14.38869023, 20.51806936}},
      {"branin-d", {0, 5}, {-86.69788736, -91.89788736}},
      {"branin-d", {7, 3}, {1163.375918, -46.98193064}},
      {"branin-e", {0, 5}, {19.60211264, 20.60211264}},
      {"branin-e", {7, 3}, {17.23905437, 20.51806936}},
      {"hartmann3-a", h3a, {3.696549072, 3.607812017, 3.519074961}},
      {"hartmann3-a", h3b, {.4197399471, .4213625790, .4229852110}},
      {"hartmann6-a", h6a, {1.394900785, 1.398904049, 1.402907312, 1.406910576}},
      {"hartmann6-a", h6b, {.02396477499, .02399642524, .02402807548, .02405972573}},
      {"hartmann6-d", h6a, {-1.638218164, -2.055108544}},
      {"hartmann6-d", h6b, {-1.338567970, -1.342298828}},
      {"forrester-2", {.25}, {-1.064986715, -.2103677462}},
      {"forrester-2", {.6}, {-.03735945179, -.1494378072}},
      {"forrester-3", {.25}, {-3.407775810, -.2103677462}},
      {"forrester-3", {.6}, {-1.612078355, -.1494378072}},
      {"forrester-4", {.25}, {-7.605183873, -.2103677462}},
      {"forrester-4", {.6}, {-4.074718904, -.1494378072}},
      {"rosenbrock", {.5, -1}, {84.625, 156.5}},
      {"rosenbrock", {1.5, 1.2}, {66.025, 110.5}},
  };
  for (const Golden& golden : all) {
    const TestFunction& function = test_function(golden.name);
    ASSERT_EQ(function.tasks.size(), golden.tasks.size()) << golden.name;
    for (size_t task = 0; task < golden.tasks.size(); ++task)
      if (!std::isnan(golden.tasks[task]))
        expect_digits(function.tasks[task](golden.x), golden.tasks[task], golden.name);
  }
  const TestFunction& borehole = test_function("borehole");
  expect_digits(borehole.value(1, Point(8, .25)), 42.15503866, "unit coordinates");
  expect_digits(borehole.value(0, Point(8, .25)), 33.54585263, "unit coordinates");
  expect_digits(borehole.value(1, Point(8, .75)), 105.5236978, "unit coordinates");
  expect_digits(borehole.value(0, Point(8, .75)), 83.97279129, "unit coordinates");
}

TEST(TestFunctions, HartmannWithOtherWeights) {
  const Point h3 = {.1, .5, .9}, h6 = {.1, .2, .3, .4, .5, .6}, h6b = {.9, .8, .7, .6, .5, .4};
  expect_digits(hartmann3(h3, {.9, 1.2, 3, 3.2}), 3.519074848, "3, the first 0.1 less");
  expect_digits(hartmann3(h3, {.9, 1.1, 2.9, 3.1}), 3.382890963, "3, all 0.1 less");
  expect_digits(hartmann3(h3, {.8, 1, 2.8, 3}), 3.246706964, "3, all 0.2 less");
  expect_digits(hartmann6(h6, {1.03, 1.17, 2.7, 3.5}), 1.286812664, "6, unscaled");
  expect_digits(hartmann6(h6b, {1.03, 1.17, 2.7, 3.5}), .02311021828, "6, unscaled");
  expect_digits(hartmann6(h6, {.9, 1.2, 3, 3.2}), 1.391100957, "6, the first 0.1 less");
  expect_digits(hartmann6(h6b, {.9, 1.2, 3, 3.2}), .02404885783, "6, the first 0.1 less");
  expect_digits(hartmann6(h6, {.8, 1, 2.8, 3}), 1.292018637, "6, all 0.2 less");
  expect_digits(hartmann6(h6b, {.8, 1, 2.8, 3}), .02243577145, "6, all 0.2 less");
  expect_digits(hartmann6(h6, {.5, .5, 2, 4}), .9116230869, "6, other weights");
  expect_digits(hartmann6(h6b, {.5, .5, 2, 4}), .02019331067, "6, other weights");
}

/// Climbs coordinate by coordinate with falling steps, within the unit box.
double climb(const TestFunction& function, Point x) {
  const double sign = function.maximise ? 1 : -1;
  double best = sign * function.value(function.tasks.size() - 1, x);
  for (double step = 0.25; step > 1e-9;) {
    bool better = false;
    for (double& coordinate : x)
      for (const double by : {-step, step}) {
        const double old = coordinate;
        coordinate = std::clamp(old + by, 0.0, 1.0);
        const double value = sign * function.value(function.tasks.size() - 1, x);
        if (value > best) {
          best = value, better = true;
        } else {
          coordinate = old;
        }
      }
    if (!better) step /= 2;
  }
  return sign * best;
}

TEST(TestFunctions, BestIsTheBest) {
  for (const TestFunction& function : test_functions()) {
    SCOPED_TRACE(function.name);
    const size_t d = function.low.size();
    ASSERT_EQ(function.high.size(), d);
    ASSERT_EQ(function.at.size(), d);
    ASSERT_EQ(function.costs.size(), function.tasks.size());
    EXPECT_TRUE(std::is_sorted(function.costs.begin(), function.costs.end()));
    EXPECT_EQ(function.costs.back(), 1.0);
    const double tolerance = 2e-9 * std::max(1.0, std::abs(function.best));
    EXPECT_NEAR(function.tasks.back()(function.at), function.best, 4 * tolerance);
    double best = function.maximise ? -1e300 : 1e300;
    for (uint64_t start = 0; start < 60; ++start) {
      Rng rng(start, Purpose::Test, {d});
      Point x(d);
      for (double& coordinate : x) coordinate = rng.uniform();
      const double value = climb(function, x);
      best = function.maximise ? std::max(best, value) : std::min(best, value);
    }
    // A narrow valley stops a climber along the axes: near the optimum is near enough there.
    const double reach = function.name == "rosenbrock" ? 1e-3 : tolerance;
    EXPECT_NEAR(best, function.best, reach);
  }
}

TEST(TestFunctions, UnknownNamesAreRefused) { EXPECT_THROW(test_function("ackley"), InputError); }

}  // namespace
}  // namespace kronbit::experiments
