#include "gp/matrix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "gp/covariance.h"
#include "support.h"
#include "tensor/base/error.h"
#include "tests/tensor/message_of.h"

namespace kronbit::gp {
namespace {

Matrix random_positive(size_t n, uint64_t seed) {
  Rng rng(seed, Purpose::Test);
  Matrix a(n, n);
  for (size_t i = 0; i < n * n; ++i) a.data()[i] = rng.normal();
  Matrix result = multiply(a, transpose(a));
  for (size_t i = 0; i < n; ++i) result(i, i) += 0.5;
  return result;
}

double distance(const Matrix& a, const Matrix& b) {
  double worst = 0.0;
  for (size_t i = 0; i < a.rows() * a.cols(); ++i) worst = std::max(worst, std::abs(a.data()[i] - b.data()[i]));
  return worst;
}

TEST(Cholesky, FactorInverseAndSolvesBelongToTheMatrix) {
  for (size_t n : {0u, 1u, 2u, 7u, 65u}) {
    const Matrix a = random_positive(n, n + 1);
    const Cholesky c(a);
    EXPECT_EQ(c.jitter(), 0.0);
    EXPECT_LT(distance(multiply(c.lower(), transpose(c.lower())), a), 1e-11) << n;
    EXPECT_LT(distance(multiply(c.inverse(), a), Matrix::identity(n)), 1e-9) << n;
    std::vector<double> ones(n, 1.0), back(n, 0.0);
    const std::vector<double> x = c.solve(ones);
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) back[i] += a(i, j) * x[j];
      EXPECT_NEAR(back[i], 1.0, 1e-9);
    }
    Matrix two(n, 2, 1.0);
    const Matrix solved = c.solve_lower(two);
    const std::vector<double> one = c.solve_lower(ones);
    for (size_t i = 0; i < n; ++i) EXPECT_NEAR(solved(i, 1), one[i], 1e-12);
  }
}

TEST(Cholesky, LogDeterminantOfAKnownMatrix) {
  Matrix a(2, 2);
  a(0, 0) = 4.0, a(1, 0) = a(0, 1) = 1.0, a(1, 1) = 3.0;
  EXPECT_NEAR(Cholesky(a).log_determinant(), std::log(11.0), 1e-14);
}

TEST(Cholesky, AppendedRowsEqualTheWholeFactor) {
  const size_t n = 9;
  const Matrix a = random_positive(n, 3);
  Cholesky grown;
  for (size_t i = 0; i < n; ++i) {
    std::vector<double> column(i);
    for (size_t j = 0; j < i; ++j) column[j] = a(i, j);
    grown.append(column, a(i, i));
  }
  EXPECT_LT(distance(grown.lower(), Cholesky(a).lower()), 1e-12);
  std::vector<double> again(n);
  for (size_t i = 0; i < n; ++i) again[i] = a(i, 0);
  EXPECT_THROW(grown.append(again, a(0, 0) - 1.0), NumericalError);
}

TEST(Cholesky, JitterClimbsTheLadderAndSaysWhatItUsed) {
  Matrix singular(2, 2, 1.0);  // exactly singular: the second pivot is 0
  EXPECT_EQ(Cholesky(singular).jitter(), 1e-8);
  singular(1, 1) = 1.0 - 5e-6;  // smallest eigenvalue −2.5e-6: 1e-5 is the first rung that helps
  EXPECT_NEAR(Cholesky(singular).jitter(), 1e-5, 1e-18);
}

TEST(Cholesky, HopelessMatricesAreNamedErrors) {
  Matrix indefinite(2, 2);
  indefinite(0, 0) = 1.0, indefinite(1, 1) = -0.5;
  EXPECT_THAT(message_of<NumericalError>([&] { Cholesky{indefinite}; }), ::testing::HasSubstr("raise the noise"));
  Matrix bad = Matrix::identity(3);
  bad(2, 1) = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(Cholesky{bad}, NumericalError);
  EXPECT_THROW(eigen_symmetric(bad), NumericalError);
}

TEST(Cholesky, NothingAboveTheDiagonalIsRead) {
  const Matrix a = random_positive(5, 4);
  Matrix lower = a;
  for (size_t j = 1; j < 5; ++j)
    for (size_t i = 0; i < j; ++i) lower(i, j) = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(distance(Cholesky(lower).lower(), Cholesky(a).lower()), 0.0);
  EXPECT_EQ(distance(eigen_symmetric(lower).vectors, eigen_symmetric(a).vectors), 0.0);
}

TEST(Eigen, RebuildsTheMatrix) {
  const Matrix a = random_positive(6, 4);
  const Eigen e = eigen_symmetric(a);
  Matrix scaled = e.vectors;
  for (size_t j = 0; j < 6; ++j) {
    for (size_t i = 0; i < 6; ++i) scaled(i, j) *= e.values[j];
    if (j > 0) {
      EXPECT_GE(e.values[j], e.values[j - 1]);
    }
  }
  EXPECT_LT(distance(multiply(scaled, transpose(e.vectors)), a), 1e-12);
}

}  // namespace
}  // namespace kronbit::gp
