#include "apps/experiments/common/test_functions.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "tensor/base/error.h"
#include "tensor/io/text.h"

namespace kronbit::experiments {
namespace {

constexpr double kPi = std::numbers::pi;
constexpr double kBraninB = 5.1 / (4 * kPi * kPi), kBraninC = 5 / kPi, kBraninT = 1 / (8 * kPi);

double square(double x) { return x * x; }

// Currin, Mitchell, Morris, Ylvisaker 1988; the cheap one: Xiong, Qian, Wu 2013.
double currin(const Point& x) {
  const double a = x[0], factor = x[1] <= 1e-8 ? 1.0 : 1 - std::exp(-1 / (2 * x[1]));
  return factor * (((2300 * a + 1900) * a + 2092) * a + 60) / (((100 * a + 500) * a + 4) * a + 20);
}
double currin_cheap(const Point& x) {
  const double up = x[1] + 0.05, down = std::max(0.0, x[1] - 0.05);
  return (currin({x[0] + 0.05, up}) + currin({x[0] - 0.05, up}) + currin({x[0] + 0.05, down}) +
          currin({x[0] - 0.05, down})) /
         4;
}

// Park 1991; the cheap ones: Xiong, Qian, Wu 2013.
double park1(const Point& x) {
  return (std::sqrt(square(x[0]) + (x[1] + square(x[2])) * x[3]) - x[0]) / 2 +
         (x[0] + 3 * x[3]) * std::exp(1 + std::sin(x[2]));
}
double park1_cheap(const Point& x) {
  return (1 + std::sin(x[0]) / 10) * park1(x) - 2 * x[0] + square(x[1]) + square(x[2]) + 0.5;
}
double park2(const Point& x) { return 2.0 / 3 * std::exp(x[0] + x[1]) - x[3] * std::sin(x[2]) + x[2]; }
double park2_cheap(const Point& x) { return 1.2 * park2(x) - 1; }

// Flow of water through a borehole, Morris, Mitchell, Ylvisaker 1993; x = rw, r, Tu, Hu, Tl, Hl, L, Kw.
double borehole_flow(const Point& x, double a, double b) {
  const double log_ratio = std::log(x[1] / x[0]);
  return a * x[2] * (x[3] - x[5]) /
         (log_ratio * (b + 2 * x[6] * x[2] / (log_ratio * square(x[0]) * x[7]) + x[2] / x[4]));
}
double borehole(const Point& x) { return borehole_flow(x, 2 * kPi, 1); }
double borehole_cheap(const Point& x) { return borehole_flow(x, 5, 1.5); }

// Branin with relatives: a of Kandasamy et al. 2017 (fidelity z), b of Wu et al. 2019 (s), c of Takeno et al. 2020,
// d of Dong et al. 2015, e of Toal 2015 with A = 1/2.
double branin_z(const Point& x, double z) {
  return branin(x, kBraninB - (1 - z) * 0.01, kBraninC - (1 - z) * 0.1, kBraninT + (1 - z) * 0.005);
}
double branin_s(const Point& x, double s) { return branin(x, kBraninB - 0.1 * (1 - s), kBraninC, kBraninT); }
double branin_c(const Point& x) {
  return 1.1 * square(x[1] - 5 / (4 * kPi * kPi) * square(x[0]) + 4 * x[0] / kPi - 5) +
         8 * (1 - 1 / (10 * kPi)) * std::cos(x[0]) + 8;
}
double branin_d(const Point& x) { return branin(x) - 22.5 * x[1]; }
double branin_d_cheap(const Point& x) {
  return branin({0.7 * x[0], 0.7 * x[1]}) - 15.75 * x[1] + 20 * square(0.9 + x[0]) - 50;
}
double branin_e(const Point& x) { return branin(x) - square(x[1] - kBraninB * square(x[0]) + kBraninC * x[0] - 6); }

// Hartmann 1973; fidelities of Kandasamy et al. 2016. In six dimensions the change of alpha is a tenth of the paper's,
// as in the authors' program.
const Point kAlpha = {1, 1.2, 3, 3.2};
Point changed_alpha(double times) {
  constexpr std::array kChange = {0.01, -0.01, -0.1, 0.1};
  Point alpha = kAlpha;
  for (size_t i = 0; i < alpha.size(); ++i) alpha[i] += times * kChange[i];
  return alpha;
}

template <size_t D>
struct HartmannData {
  std::array<std::array<double, D>, 4> a, p;
};
template <size_t D>
double hartmann_exponent(const HartmannData<D>& data, size_t i, const Point& x) {
  double sum = 0;
  for (size_t j = 0; j < D; ++j) sum += data.a[i][j] * square(x[j] - 1e-4 * data.p[i][j]);
  return -sum;
}
template <size_t D>
double hartmann(const HartmannData<D>& data, const Point& x, const Point& alpha) {
  double sum = 0;
  for (size_t i = 0; i < 4; ++i) sum += alpha[i] * std::exp(hartmann_exponent(data, i, x));
  return sum;
}
constexpr HartmannData<3> kHartmann3 = {
    {{{3, 10, 30}, {0.1, 10, 35}, {3, 10, 30}, {0.1, 10, 35}}},
    {{{3689, 1170, 2673}, {4699, 4387, 7470}, {1091, 8732, 5547}, {381, 5743, 8828}}}};
constexpr HartmannData<6> kHartmann6 = {
    {{{10, 3, 17, 3.5, 1.7, 8}, {0.05, 10, 17, 0.1, 8, 14}, {3, 3.5, 1.7, 10, 17, 8}, {17, 8, 0.05, 10, 0.1, 14}}},
    {{{1312, 1696, 5569, 124, 8283, 5886},
      {2329, 4135, 8307, 3736, 1004, 9991},
      {2348, 1451, 3522, 2883, 3047, 6650},
      {4047, 8828, 8732, 5743, 1091, 381}}}};

// Park, Haftka, Kim 2017: other weights, and the exponential replaced by a power.
double hartmann6_d(const Point& x) { return -(2.58 + hartmann6(x, kAlpha)) / 1.94; }
double hartmann6_d_cheap(const Point& x) {
  constexpr std::array kWeights = {0.5, 0.5, 2.0, 4.0};
  double sum = 0;
  for (size_t i = 0; i < 4; ++i) {
    const double e = hartmann_exponent(kHartmann6, i, x);
    sum += kWeights[i] * std::pow(std::exp(-4.0 / 9) * (1 + (e + 4) / 9), 9);
  }
  return -(2.58 + sum) / 1.94;
}

// Forrester, Sóbester, Keane 2007, with two of the usual relatives: a near one and a trap.
double forrester(const Point& x) { return square(6 * x[0] - 2) * std::sin(12 * x[0] - 4); }
double forrester_2(const Point& x) { return square(5.5 * x[0] - 2.5) * std::sin(12 * x[0] - 4); }
double forrester_3(const Point& x) { return 0.75 * forrester(x) + 5 * (x[0] - 0.5) - 2; }
double forrester_4(const Point& x) { return 0.5 * forrester(x) + 10 * (x[0] - 0.5) - 5; }

// Rosenbrock 1960 in two dimensions; the cheap one: Mainini et al. 2022 (arXiv 2204.07867).
double rosenbrock(const Point& x) { return 100 * square(x[1] - square(x[0])) + square(1 - x[0]); }
double rosenbrock_cheap(const Point& x) {
  return 50 * square(x[1] - square(x[0])) + square(-2 - x[0]) - 0.5 * (x[0] + x[1]);
}

template <int Times>
double hartmann3_a(const Point& x) {
  return hartmann3(x, changed_alpha(Times));
}
template <int Times>
double hartmann6_a(const Point& x) {
  return hartmann6(x, changed_alpha(0.1 * Times));
}

std::vector<TestFunction> make_all() {
  const Point zero2 = {0, 0}, one2 = {1, 1}, zero4(4, 0.0), one4(4, 1.0), branin_low = {-5, 0}, branin_high = {10, 15};
  const double branin_best = 0.3978873577, hartmann6_best = 3.322368011;
  const Point branin_at = {kPi, 2.275}, hartmann3_at = {0.114588863, 0.555648894, 0.852546985},
              hartmann6_at = {0.201689511, 0.150010694, 0.476873972, 0.275332431, 0.311651617, 0.657300533};
  return {
      {"currin", zero2, one2, true, {0.1, 1}, {currin_cheap, currin}, 13.79872204, {13.0 / 60, 0}},
      {"park1", zero4, one4, true, {0.1, 1}, {park1_cheap, park1}, 25.58925416, {1, 1, 1, 1}},
      {"park2", zero4, one4, true, {0.1, 1}, {park2_cheap, park2}, 5.926037399, {1, 1, 1, 0}},
      {"borehole",
       {0.05, 100, 63070, 990, 63.1, 700, 1120, 9855},
       {0.15, 50000, 115600, 1110, 116, 820, 1680, 12045},
       true,
       {0.1, 1},
       {borehole_cheap, borehole},
       309.5755877,
       {0.15, 100, 115600, 1110, 116, 700, 1120, 12045}},
      {"branin-a",
       branin_low,
       branin_high,
       false,
       {0.05, 0.386, 1},
       {[](const Point& x) { return branin_z(x, 0); }, [](const Point& x) { return branin_z(x, 0.5); }, branin},
       branin_best,
       branin_at},
      {"branin-b",
       branin_low,
       branin_high,
       false,
       {0.1, 0.5, 1},
       {[](const Point& x) { return branin_s(x, 0); }, [](const Point& x) { return branin_s(x, 0.5); }, branin},
       branin_best,
       branin_at},
      {"branin-c", branin_low, branin_high, false, {0.2, 1}, {branin_c, branin}, branin_best, branin_at},
      {"branin-d",
       branin_low,
       branin_high,
       false,
       {0.1, 1},
       {branin_d_cheap, branin_d},
       -333.9160344,
       {-3.786088705, 15}},
      {"branin-e", branin_low, branin_high, false, {0.1, 1}, {branin_e, branin}, branin_best, branin_at},
      {"hartmann3-a",
       Point(3, 0.0),
       Point(3, 1.0),
       true,
       {0.01, 0.1, 1},
       {hartmann3_a<2>, hartmann3_a<1>, hartmann3_a<0>},
       3.862779787,
       hartmann3_at},
      {"hartmann6-a",
       Point(6, 0.0),
       Point(6, 1.0),
       true,
       {0.001, 0.01, 0.1, 1},
       {hartmann6_a<3>, hartmann6_a<2>, hartmann6_a<1>, hartmann6_a<0>},
       hartmann6_best,
       hartmann6_at},
      {"hartmann6-d",
       Point(6, 0.0),
       Point(6, 1.0),
       false,
       {0.1, 1},
       {hartmann6_d_cheap, hartmann6_d},
       -(2.58 + hartmann6_best) / 1.94,
       hartmann6_at},
      {"forrester-2", {0}, {1}, false, {0.1, 1}, {forrester_2, forrester}, -6.020740056, {0.7572487578}},
      {"forrester-3", {0}, {1}, false, {0.1, 1}, {forrester_3, forrester}, -6.020740056, {0.7572487578}},
      {"forrester-4", {0}, {1}, false, {0.1, 1}, {forrester_4, forrester}, -6.020740056, {0.7572487578}},
      {"rosenbrock", {-2, -2}, {2, 2}, false, {0.5, 1}, {rosenbrock_cheap, rosenbrock}, 0.0, {1, 1}},
  };
}

}  // namespace

double branin(const Point& x, double b, double c, double t) {
  return square(x[1] - b * square(x[0]) + c * x[0] - 6) + 10 * (1 - t) * std::cos(x[0]) + 10;
}
double branin(const Point& x) { return branin(x, kBraninB, kBraninC, kBraninT); }
double hartmann3(const Point& x, const Point& alpha) { return hartmann(kHartmann3, x, alpha); }
double hartmann6(const Point& x, const Point& alpha) { return hartmann(kHartmann6, x, alpha); }

double TestFunction::value(size_t task, const Point& unit) const {
  Point x(unit.size());
  for (size_t j = 0; j < x.size(); ++j) x[j] = low[j] + unit[j] * (high[j] - low[j]);
  return tasks.at(task)(x);
}

const std::vector<TestFunction>& test_functions() {
  static const std::vector<TestFunction> all = make_all();
  return all;
}

const TestFunction& test_function(std::string_view name) {
  std::string names;
  for (const TestFunction& function : test_functions()) {
    if (function.name == name) return function;
    names += (names.empty() ? "" : ", ") + std::string(function.name);
  }
  input_error("--function", "wanted one of {}, got {}", names, quote(name));
}

}  // namespace kronbit::experiments
