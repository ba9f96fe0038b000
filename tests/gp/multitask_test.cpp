#include "gp/multitask.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <map>
#include <numbers>
#include <sstream>

#include "gp/kronecker.h"
#include "support.h"
#include "tensor/base/error.h"
#include "tests/tensor/keep_threads.h"

namespace kronbit::gp {
namespace {

using testing::random_hyperparameters;
using testing::random_point;
using testing::sample;

std::map<std::string, std::vector<double>> read_golden() {
  std::ifstream file(std::string(KRONBIT_SOURCE_DIR) + "/tests/gp/golden/gpytorch.txt");
  std::map<std::string, std::vector<double>> result;
  for (std::string line, name; std::getline(file, line);) {
    std::istringstream words(line);
    words >> name;
    for (double value; words >> value;) result[name].push_back(value);
  }
  return result;
}

class Golden : public ::testing::TestWithParam<std::pair<const char*, Kernel>> {};

TEST_P(Golden, PredictionsAndLikelihoodEqualGPyTorch) {
  auto golden = read_golden();
  ASSERT_EQ(golden["sizes"].size(), 4u);
  const size_t m = static_cast<size_t>(golden["sizes"][0]), d = static_cast<size_t>(golden["sizes"][1]);
  Hyperparameters h{Matrix(m, m), golden["lengthscales"], golden["noise"], GetParam().second};
  for (size_t i = 0; i < m * m; ++i) h.task_covariance.data()[i] = golden["task_covariance"][i];
  const auto rows = [&](const std::string& name) {
    std::vector<std::vector<double>> result;
    const std::vector<double>& all = golden[name];
    for (size_t i = 0; i < all.size(); i += d) result.push_back({all[i], all[i + 1]});
    return result;
  };
  std::vector<Observation> observations;
  const auto x = rows("x");
  for (size_t i = 0; i < x.size(); ++i) {
    observations.push_back({x[i], static_cast<int>(golden["task"][i]), golden["y"][i]});
  }
  const MultiTaskGp gp(observations, h, no_standardisation(static_cast<int>(m)));
  const std::string name = GetParam().first;
  EXPECT_NEAR(gp.log_marginal_likelihood(), golden[name + ".log_likelihood"].at(0), 1e-6);
  EXPECT_EQ(gp.jitter(), 0.0);
  for (size_t t = 0; t < m; ++t) {
    const Posterior posterior = gp.predict(rows("queries"), static_cast<int>(t));
    const std::vector<double>&mean = golden[name + ".mean." + std::to_string(t)],
          &variance = golden[name + ".variance." + std::to_string(t)];
    ASSERT_EQ(mean.size(), 5u);
    for (size_t i = 0; i < mean.size(); ++i) {
      EXPECT_NEAR(posterior.mean[i], mean[i], 1e-6);
      EXPECT_NEAR(posterior.variance[i], variance[i], 1e-6);
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Kernels, Golden,
                         ::testing::Values(std::pair{"se", Kernel::SquaredExponential},
                                           std::pair{"matern52", Kernel::Matern52}),
                         [](const auto& p) { return p.param.first; });

// What a model conditioned on all but `left_out` says about observation i, noise included.
void expect_refit(const LeaveOneOut& loo, const MultiTaskGp& gp, size_t i, const std::vector<bool>& left_out) {
  std::vector<Observation> kept;
  for (size_t j = 0; j < gp.observations().size(); ++j) {
    if (!left_out[j]) kept.push_back(gp.observations()[j]);
  }
  const MultiTaskGp rest(kept, gp.hyperparameters(), gp.standardisation());
  const Observation& o = gp.observations()[i];
  const size_t t = static_cast<size_t>(o.task);
  const double scale = gp.standardisation().scale[t];
  const Posterior p = rest.predict({o.x}, o.task);
  const double variance = p.variance[0] + gp.hyperparameters().noise[t] * scale * scale;
  EXPECT_NEAR(loo.mean[i], p.mean[0], 1e-9);
  EXPECT_NEAR(loo.variance[i], variance, 1e-9);
  const double z = (o.y - p.mean[0]) / std::sqrt(variance);
  EXPECT_NEAR(loo.z[i], z, 1e-8);
  EXPECT_NEAR(loo.log_density[i], -0.5 * std::log(2.0 * std::numbers::pi * variance) - 0.5 * z * z, 1e-8);
}

TEST(MultiTaskGp, LeaveOneOutEqualsRefits) {
  Rng rng(1, Purpose::Test);
  const Hyperparameters h = random_hyperparameters(rng, 3, 2);
  std::vector<Observation> observations = sample(rng, h, 24);
  for (Observation& o : observations) o.y = 3.0 + 0.5 * o.y;
  const MultiTaskGp gp(observations, h, standardise(observations, 3));
  const LeaveOneOut one = gp.leave_one_out(), x = gp.leave_one_x_out();
  for (size_t i = 0; i < observations.size(); ++i) {
    std::vector<bool> alone(observations.size(), false), together(observations.size(), false);
    alone[i] = true;
    for (size_t j = 0; j < observations.size(); ++j) together[j] = observations[j].x == observations[i].x;
    expect_refit(one, gp, i, alone);
    expect_refit(x, gp, i, together);
  }
}

TEST(MultiTaskGp, CorrelationIsThatOfTheJointPosterior) {
  Rng rng(5, Purpose::Test);
  const Hyperparameters h = random_hyperparameters(rng, 2, 3);
  std::vector<Observation> observations = sample(rng, h, 12);
  const std::vector<double> a = random_point(rng, 3), b = random_point(rng, 3);
  const auto variance_of_a = [&](const std::vector<Observation>& seen) {
    return MultiTaskGp(seen, h, no_standardisation(2)).predict({a}, 1).variance[0];
  };
  // Had f(b) been seen without noise, the variance of f(a) would be less by the square of the correlation.
  const MultiTaskGp model(observations, h, no_standardisation(2));
  const double before = variance_of_a(observations), correlation = model.correlation(a, b, 1);
  const double noise = h.noise[1] + model.predict({b}, 1).variance[0];
  observations.push_back({b, 1, 0.0});
  const double after = variance_of_a(observations);  // seen with noise: less by the share of f(b) in what was seen
  EXPECT_NEAR(before - after, before * correlation * correlation * (noise - h.noise[1]) / noise, 1e-9);
  EXPECT_NEAR(model.correlation(a, a, 1), 1.0, 1e-6);
  EXPECT_NEAR(correlation, model.correlation(b, a, 1), 1e-12);
}

TEST(MultiTaskGp, WidenedHasTheSameMeansAndWiderVariances) {
  Rng rng(6, Purpose::Test);
  const Hyperparameters h = random_hyperparameters(rng, 2, 2);
  const MultiTaskGp model(sample(rng, h, 15), h, no_standardisation(2)), wide = model.widened(7.0);
  const std::vector<std::vector<double>> x = {random_point(rng, 2), random_point(rng, 2)};
  const Posterior before = model.predict(x, 1), after = wide.predict(x, 1);
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_NEAR(after.mean[i], before.mean[i], 1e-9);
    EXPECT_NEAR(after.variance[i], 7.0 * before.variance[i], 1e-9);
  }
  EXPECT_NEAR(wide.correlation(x[0], x[1], 1), model.correlation(x[0], x[1], 1), 1e-9);
}

TEST(MultiTaskGp, LearnsFromOtherTasks) {
  Hyperparameters h{Matrix(2, 2, 1.0), {0.3}, {0.01, 0.01}, Kernel::SquaredExponential};
  h.task_covariance(0, 1) = h.task_covariance(1, 0) = 0.9;
  const MultiTaskGp gp({{{0.5}, 0, 1.0}}, h, no_standardisation(2));
  const Posterior p = gp.predict({{0.5}}, 1);
  EXPECT_NEAR(p.mean[0], 0.9 / 1.01, 1e-14);
  EXPECT_NEAR(p.variance[0], 1.0 - 0.81 / 1.01, 1e-14);
}

TEST(MultiTaskGp, TheMedianObservedLeavesTheMeans) {
  Rng rng(21, Purpose::Test);
  const Hyperparameters h = random_hyperparameters(rng, 3, 2);
  std::vector<Observation> observations;
  for (int i = 0; i < 24; ++i) observations.push_back({random_point(rng, 2), i % 3, rng.uniform(0.05, 0.95)});
  std::vector<std::vector<double>> x;
  for (int i = 0; i < 5; ++i) x.push_back(random_point(rng, 2));
  for (const bool warp : {false, true}) {
    const Standardisation s = standardise(observations, 3, warp);
    const MultiTaskGp before(observations, h, s);
    std::vector<Observation> more = observations;
    more.push_back({x[0], 1, before.quantiles({x[0]}, 1, 0.0)[0]});
    const MultiTaskGp after(more, h, s);
    for (int task = 0; task < 3; ++task) {
      const std::vector<double> a = before.quantiles(x, task, 0.0), b = after.quantiles(x, task, 0.0);
      const std::vector<double> low = before.quantiles(x, task, -1.0), high = before.quantiles(x, task, 1.0);
      const Posterior p = before.predict(x, task);
      for (size_t i = 0; i < x.size(); ++i) {
        EXPECT_NEAR(a[i], b[i], 1e-9);
        EXPECT_LT(low[i], a[i]);
        EXPECT_LT(a[i], high[i]);
        if (warp) continue;
        EXPECT_NEAR(a[i], p.mean[i], 1e-12);
        EXPECT_NEAR(high[i], p.mean[i] + std::sqrt(p.variance[i]), 1e-12);
      }
    }
  }
}

TEST(MultiTaskGp, SameBitsForAnyNumberOfThreads) {
  Rng rng(2, Purpose::Test);
  const Hyperparameters h = random_hyperparameters(rng, 2, 2);
  const MultiTaskGp gp(sample(rng, h, 150), h, no_standardisation(2));
  std::vector<std::vector<double>> x;
  for (int i = 0; i < 500; ++i) x.push_back(random_point(rng, 2));
  const KeepThreads keep;
  set_threads(1);
  const Posterior one = gp.predict(x, 1);
  set_threads(3);
  const Posterior three = gp.predict(x, 1);
  EXPECT_EQ(one.mean, three.mean);
  EXPECT_EQ(one.variance, three.variance);
}

TEST(MultiTaskGp, TwoThousandObservations) {
  Rng rng(3, Purpose::Test);
  const Hyperparameters h = random_hyperparameters(rng, 4, 2);
  std::vector<Observation> observations;
  for (int i = 0; i < 2000; ++i) observations.push_back({random_point(rng, 2), i % 4, rng.normal()});
  const MultiTaskGp gp(observations, h, standardise(observations, 4));
  const Posterior p = gp.predict({{0.5, 0.5}}, 3);
  EXPECT_TRUE(std::isfinite(p.mean[0]));
  EXPECT_GT(p.variance[0], 0.0);
  EXPECT_LT(p.variance[0], h.task_covariance(3, 3));
  EXPECT_TRUE(std::isfinite(gp.log_marginal_likelihood()));
}

TEST(MultiTaskGp, RefusesWhatMakesNoSense) {
  Rng rng(4, Purpose::Test);
  const Hyperparameters h = random_hyperparameters(rng, 2, 2);
  const Standardisation none = no_standardisation(2);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(MultiTaskGp({}, h, none), InputError);
  EXPECT_THROW(MultiTaskGp({{{0.1}, 0, 1.0}}, h, none), InputError);
  EXPECT_THROW(MultiTaskGp({{{0.1, 0.2}, 2, 1.0}}, h, none), InputError);
  EXPECT_THROW(MultiTaskGp({{{0.1, 0.2}, -1, 1.0}}, h, none), InputError);
  EXPECT_THROW(MultiTaskGp({{{0.1, nan}, 0, 1.0}}, h, none), InputError);
  EXPECT_THROW(MultiTaskGp({{{0.1, 0.2}, 0, nan}}, h, none), InputError);
  EXPECT_THROW(MultiTaskGp({{{0.1, 0.2}, 0, 1e300}}, h, none), InputError);
  EXPECT_THROW(MultiTaskGp({{{0.1, 0.2}, 0, 1.0}}, h, no_standardisation(1)), InputError);
  Hyperparameters bad = h;
  bad.noise[0] = 0.0;
  EXPECT_THROW(MultiTaskGp({{{0.1, 0.2}, 0, 1.0}}, bad, none), InputError);
  const MultiTaskGp gp({{{0.1, 0.2}, 0, 1.0}}, h, none);
  EXPECT_THROW(gp.predict({{0.1, 0.2}}, 2), InputError);
  EXPECT_THROW(gp.predict({{0.1}}, 0), InputError);
}

TEST(Standardisation, PooledUntilATaskHasFive) {
  std::vector<Observation> observations;
  for (int i = 0; i < 5; ++i) observations.push_back({{0.1 * i}, 0, static_cast<double>(i)});
  observations.push_back({{0.5}, 1, 10.0});
  const Standardisation s = standardise(observations, 3);
  EXPECT_NEAR(s.mean[0], 2.0, 1e-14);
  EXPECT_NEAR(s.scale[0], std::sqrt(2.5), 1e-14);
  EXPECT_NEAR(s.mean[1], 20.0 / 6.0, 1e-14);
  EXPECT_EQ(s.mean[1], s.mean[2]);
  EXPECT_EQ(s.scale[1], s.scale[2]);
  EXPECT_NEAR(s.forward(3.0, 0), 1.0 / std::sqrt(2.5), 1e-14);
}

TEST(Standardisation, LogitWarpClipsAndComesBack) {
  std::vector<Observation> observations;
  for (int i = 0; i <= 10; ++i) observations.push_back({{0.1 * i}, 0, 0.1 * i});
  const Standardisation s = standardise(observations, 1, true);
  EXPECT_EQ(s.forward(0.0, 0), s.forward(1e-3, 0));
  EXPECT_TRUE(std::isfinite(s.forward(1.0, 0)));
  double mean = 0.0, variance = 0.0;
  s.backward(s.forward(0.3, 0), 0.0, 0, mean, variance);
  EXPECT_NEAR(mean, 0.3, 1e-14);
  EXPECT_NEAR(variance, 0.0, 1e-30);
  // A logit-normal with location 0 has mean ½; its variance by a fine midpoint rule.
  Standardisation unit = no_standardisation(1);
  unit.logit_warp = true;
  unit.backward(0.0, 1.0, 0, mean, variance);
  EXPECT_NEAR(mean, 0.5, 1e-12);
  double sum = 0.0;
  constexpr int kSteps = 200000;
  for (int i = 0; i < kSteps; ++i) {
    const double u = -10.0 + 20.0 * (i + 0.5) / kSteps, p = 1.0 / (1.0 + std::exp(-u));
    sum += (p - 0.5) * (p - 0.5) * std::exp(-0.5 * u * u) / std::sqrt(2.0 * std::numbers::pi) * 20.0 / kSteps;
  }
  EXPECT_NEAR(variance, sum, 1e-10);
  const double step = 1e-6;
  EXPECT_NEAR(s.log_slope(0.3, 0), std::log((s.forward(0.3 + step, 0) - s.forward(0.3 - step, 0)) / (2.0 * step)),
              1e-8);
  EXPECT_THROW(standardise({{{0.5}, 0, 1.5}}, 1, true), InputError);
}

TEST(KroneckerGp, EqualsTheDenseModel) {
  Rng rng(6, Purpose::Test);
  for (Kernel kernel : {Kernel::SquaredExponential, Kernel::Matern52}) {
    for (size_t m : {1u, 2u, 4u}) {
      const size_t n = 15;
      Hyperparameters h = random_hyperparameters(rng, m, 2, kernel);
      std::vector<std::vector<double>> x;
      std::vector<Observation> observations;
      Matrix y(n, m);
      for (size_t i = 0; i < n; ++i) {
        x.push_back(i == 1 ? x[0] : random_point(rng, 2));  // a repeated x makes Kx singular
        for (size_t l = 0; l < m; ++l) {
          y(i, l) = rng.normal();
          observations.push_back({x[i], static_cast<int>(l), y(i, l)});
        }
      }
      const KroneckerGp fast(x, y, h);
      const MultiTaskGp dense(observations, h, no_standardisation(static_cast<int>(m)));
      EXPECT_NEAR(fast.log_marginal_likelihood() / dense.log_marginal_likelihood(), 1.0, 1e-10);
      const std::vector<std::vector<double>> queries{x[0], {0.5, 0.5}, {0.9, 0.1}};
      for (size_t l = 0; l < m; ++l) {
        const Posterior a = fast.predict(queries, static_cast<int>(l)), b = dense.predict(queries, static_cast<int>(l));
        for (size_t i = 0; i < queries.size(); ++i) {
          EXPECT_NEAR(a.mean[i], b.mean[i], 1e-10);
          EXPECT_NEAR(a.variance[i], b.variance[i], 1e-10);
        }
      }
    }
  }
  Hyperparameters h = random_hyperparameters(rng, 2, 2);
  EXPECT_THROW(KroneckerGp({{0.1, 0.2}}, Matrix(1, 3), h), InputError);
}

}  // namespace
}  // namespace kronbit::gp
