#include "gp/covariance.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support.h"
#include "tensor/base/error.h"

namespace kronbit::gp {
namespace {

using testing::kernel_specs;
using testing::random_kernel;
using testing::random_point;

TEST(Covariance, ValuesByHand) {
  const std::vector<double> a{0.1, 0.9}, b{0.4, 0.5}, lengthscales{0.3, 0.2};
  const double r2 = 1.0 + 4.0, r = std::sqrt(5.0 * r2);
  const double se = std::exp(-2.5), matern = (1.0 + r + 5.0 * r2 / 3.0) * std::exp(-r);
  EXPECT_NEAR(Covariance(Kernel::SquaredExponential, lengthscales)(a, b), se, 1e-14);
  EXPECT_NEAR(Covariance(Kernel::Matern52, lengthscales)(a, b), matern, 1e-14);
  // One lengthscale for both inputs: the mean of 0.3² and 0.4² over 0.5².
  const KernelTerm shared = shared_inputs(Kernel::SquaredExponential, 0, 2);
  EXPECT_NEAR(Covariance({{shared}}, {0.5})(a, b), std::exp(-0.5 * 0.125 / 0.25), 1e-14);
  // 12 (−0.4 · −0.1 + 0.4 · 0) / 2
  const KernelTerm linear = each_input(Kernel::Linear, 0, 2);
  EXPECT_NEAR(Covariance({{linear}}, {})(a, b), 0.24, 1e-14);
  // A sum of three, the second on the second input only.
  const KernelTerm second = each_input(Kernel::Matern52, 1, 1);
  const double far = std::sqrt(5.0) * 2.0;
  EXPECT_NEAR(Covariance({{shared, second, linear}}, {0.5, 0.2}, {0.5, 0.3, 0.2})(a, b),
              0.5 * std::exp(-0.25) + 0.3 * (1.0 + far + far * far / 3.0) * std::exp(-far) + 0.2 * 0.24, 1e-14);
  // Scaled by the first input: times 3 · 0.1 · 0.4.
  KernelTerm scaled = second;
  scaled.scaled_by = 0;
  EXPECT_NEAR(Covariance({{scaled}}, {0.2})(a, b), 0.12 * (1.0 + far + far * far / 3.0) * std::exp(-far), 1e-14);
  EXPECT_NEAR(Covariance({{scaled}}, {0.2}).variance(b), 0.48, 1e-14);
  // Blocks of unequal sizes: their means add up.
  const Covariance blocks({{{Kernel::SquaredExponential, 0, {1, 2}}}}, {1.0, 2.0});
  EXPECT_NEAR(blocks({0.0, 0.0, 0.0}, {0.6, 0.2, 0.8}), std::exp(-0.5 * (0.36 + 0.34 / 4.0)), 1e-14);
}

TEST(Covariance, ADeepNetworkIsNoFartherApartThanAShallowOne) {
  for (size_t inputs : {1u, 8u, 64u}) {
    const Covariance k({{shared_inputs(Kernel::SquaredExponential, 0, inputs)}}, {0.4});
    EXPECT_NEAR(k(std::vector<double>(inputs, 0.2), std::vector<double>(inputs, 0.6)), std::exp(-0.5), 1e-14);
  }
}

TEST(Covariance, UnitVarianceUnlessLinearOrScaled) {
  Rng rng(4, Purpose::Test);
  for (const KernelSpec& spec : kernel_specs(5)) {
    const auto [lengthscales, weights] = random_kernel(rng, spec);
    const Covariance k(spec, lengthscales, weights);
    bool stationary = true;
    for (const KernelTerm& term : spec.terms)
      stationary = stationary && term.kernel != Kernel::Linear && !term.scaled_by;
    double mean = 0.0;
    for (int i = 0; i < 4000; ++i) {
      const std::vector<double> x = random_point(rng, 5);
      EXPECT_NEAR(k.variance(x), k(x, x), 1e-14);
      if (stationary) {
        EXPECT_NEAR(k.variance(x), 1.0, 1e-14);
      }
      mean += k.variance(x) / 4000.0;
    }
    EXPECT_NEAR(mean, 1.0, 0.06);
  }
}

TEST(Covariance, PointsVeryFarApartAreIndependent) {
  for (Kernel kernel : {Kernel::SquaredExponential, Kernel::Matern52}) {
    for (double far : {1e3, 1e200, -1e308}) EXPECT_EQ(Covariance(kernel, {0.1})({1e308}, {far}), 0.0);
  }
}

TEST(Covariance, RowsAndMatricesAreTheValues) {
  Rng rng(6, Purpose::Test);
  for (const KernelSpec& spec : kernel_specs(5)) {
    const auto [lengthscales, weights] = random_kernel(rng, spec);
    const Covariance k(spec, lengthscales, weights);
    for (size_t count = 0; count < 18; ++count) {
      std::vector<std::vector<double>> points;
      for (size_t i = 0; i < count; ++i) points.push_back(random_point(rng, 5));
      const Matrix all = k.between(points);
      const std::vector<double> a = random_point(rng, 5);
      for (size_t begin = 0; begin <= count; begin += 3) {
        std::vector<double> row(count - begin + 1, -7.0);
        k.row(a, coordinates(points, 5), begin, count, row.data());
        for (size_t i = begin; i < count; ++i) EXPECT_EQ(row[i - begin], k(a, points[i]));
        EXPECT_EQ(row.back(), -7.0);
      }
      for (size_t i = 0; i < count; ++i) {
        for (size_t j = 0; j < count; ++j) EXPECT_NEAR(all(i, j), k(points[i], points[j]), 1e-15);
      }
    }
  }
}

TEST(Covariance, GradientsByCentralDifferences) {
  Rng rng(5, Purpose::Test);
  for (const KernelSpec& spec : kernel_specs(5)) {
    auto [lengthscales, weights] = random_kernel(rng, spec);
    std::vector<std::vector<double>> points;
    for (int i = 0; i < 9; ++i) points.push_back(random_point(rng, 5));
    Matrix g(9, 9);
    for (size_t i = 0; i < 81; ++i) g.data()[i] = rng.normal();
    const auto total = [&] {
      const Matrix k = Covariance(spec, lengthscales, weights).between(points);
      double sum = 0.0;
      for (size_t q = 0; q < 9; ++q) {
        for (size_t p = q; p < 9; ++p) sum += g(p, q) * k(p, q);
      }
      return sum;
    };
    std::vector<double> by_lengthscale, by_term;
    Covariance(spec, lengthscales, weights).gradient(coordinates(points, 5), g, by_lengthscale, by_term);
    ASSERT_EQ(by_lengthscale.size(), lengthscales.size());
    ASSERT_EQ(by_term.size(), weights.size());
    const auto expect_slope = [&](double& value, double gradient, double up, double down, double step) {
      const double kept = value;
      value = up;
      const double above = total();
      value = down;
      const double below = total();
      value = kept;
      EXPECT_NEAR(gradient, (above - below) / step, 1e-7);
    };
    for (size_t b = 0; b < lengthscales.size(); ++b) {
      double& l = lengthscales[b];
      expect_slope(l, by_lengthscale[b], l * std::exp(1e-5), l * std::exp(-1e-5), 2e-5);
    }
    for (size_t j = 0; j < weights.size(); ++j) {
      expect_slope(weights[j], by_term[j], weights[j] + 1e-5, weights[j] - 1e-5, 2e-5);
    }
  }
}

TEST(Covariance, RefusesWhatDoesNotFit) {
  const Kernel se = Kernel::SquaredExponential;
  EXPECT_THROW(Covariance(se, {}), InputError);
  EXPECT_THROW(Covariance(se, {0.0}), InputError);
  EXPECT_THROW(Covariance(se, {-1.0}), InputError);
  EXPECT_THROW(Covariance(se, {std::nan("")}), InputError);
  EXPECT_THROW(Covariance(se, {1.0}, {0.5, 0.5}), InputError);
  EXPECT_THROW(Covariance(se, {1.0}, {-0.5}), InputError);
  EXPECT_THROW(Covariance({{shared_inputs(se, 0, 3)}}, {1.0, 1.0}), InputError);
  EXPECT_THROW(KernelSpec(std::vector<KernelTerm>{}).over(2), InputError);
  EXPECT_THROW(KernelSpec({shared_inputs(se, 1, 3)}).over(3), InputError);
  EXPECT_THROW(KernelSpec({each_input(se, 3, 0)}).over(3), InputError);
  EXPECT_THROW(KernelSpec({shared_inputs(se, 0, 0)}).over(3), InputError);
  EXPECT_THROW(KernelSpec({{se, 0, {1}, 3}}).over(3), InputError);
  EXPECT_EQ(KernelSpec({{se, 0, {1}, 3}}).inputs(), 4u);
  EXPECT_EQ(KernelSpec(se).over(3).lengthscales(), 3u);
}

}  // namespace
}  // namespace kronbit::gp
