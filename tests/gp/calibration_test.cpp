#include "gp/calibration.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support.h"
#include "tensor/base/error.h"

namespace kronbit::gp {
namespace {

using testing::random_hyperparameters;
using testing::random_point;
using testing::sample;

TEST(Calibration, CrpsGoldenValues) {
  EXPECT_NEAR(crps(0.0, 1.0, 0.0), 0.2336949773, 1e-10);
  EXPECT_NEAR(crps(0.2, 0.7, 1.0), 0.4932703457, 1e-10);
  EXPECT_NEAR(crps(1.0, 0.5, -2.0), 2.717905208, 1e-9);
  EXPECT_EQ(crps(0.5, 0.0, 0.75), 0.25);
}

TEST(Calibration, SpearmanWithTies) {
  const std::vector<double> a{.3, .1, .1, .9, .5, .5, .7, .2, .8, .4}, b{.2, .25, .1, .7, .6, .5, .9, .1, .65, .4};
  EXPECT_NEAR(spearman(a, b), 0.9021448912222151, 1e-14);  // scipy.stats.spearmanr
  EXPECT_EQ(spearman({1.0, 2.0}, {5.0, 5.0}), 0.0);
  EXPECT_EQ(spearman({}, {}), 0.0);
  EXPECT_NEAR(spearman({1.0, 2.0, 3.0}, {9.0, 4.0, 1.0}), -1.0, 1e-15);
}

// Predictions with given z; the expected numbers are scipy's.
struct Example {
  std::vector<Observation> observations;
  LeaveOneOut predicted;
};
Example example() {
  const std::vector<double> z{-1.7, -.9, -.4, -.1, .2, .3, .8, 1.1, 1.66, 2.4};
  const std::vector<double> y{.3, .1, .1, .9, .5, .5, .7, .2, .8, .4};
  Example e;
  for (size_t i = 0; i < z.size(); ++i) {
    const double sd = i < 5 ? 0.1 : 0.2, pi = std::acos(-1.0);
    e.observations.push_back({{0.5}, static_cast<int>(i % 2), y[i]});
    e.predicted.mean.push_back(y[i] - sd * z[i]);
    e.predicted.variance.push_back(sd * sd);
    e.predicted.z.push_back(z[i]);
    e.predicted.log_density.push_back(-0.5 * z[i] * z[i] - std::log(sd * std::sqrt(2.0 * pi)));
  }
  return e;
}

TEST(Calibration, EveryNumberOfASmallExample) {
  Example e = example();
  for (Observation& o : e.observations) o.task = 0;
  const Calibration c = calibrate(e.predicted, e.observations);
  EXPECT_EQ(c.count, 10u);
  EXPECT_NEAR(c.coverage50, 0.4, 1e-15);
  EXPECT_NEAR(c.coverage80, 0.7, 1e-15);
  EXPECT_NEAR(c.coverage90, 0.7, 1e-15);
  EXPECT_NEAR(c.coverage95, 0.9, 1e-15);
  EXPECT_NEAR(c.mean_z, 0.336, 1e-14);
  EXPECT_NEAR(c.mean_z2, 1.43656, 1e-14);
  EXPECT_NEAR(c.log_score, 0.3187929695094002, 1e-14);
  EXPECT_NEAR(c.log_gain, 0.42564714415331895, 1e-14);
  EXPECT_NEAR(c.crps, 0.11284954921979606, 1e-14);
  EXPECT_NEAR(c.ks, 0.18814460141660339, 1e-14);
  EXPECT_NEAR(c.ks_limit, 1.36 / std::sqrt(10.0), 1e-15);
  EXPECT_NEAR(c.rmse, 0.2138513502412365, 1e-14);
  EXPECT_NEAR(c.median_error, 0.125, 1e-14);
  EXPECT_NEAR(c.spearman, 0.7012325483169698, 1e-14);
  EXPECT_EQ(c.spearman_best, 1.0);
  EXPECT_EQ(c.coverage90_best, 1.0);  // of the observed ones it were 0.5
  EXPECT_NEAR(c.median_error_best, 0.5 * (0.01 + 0.16), 1e-14);
}

TEST(Calibration, OfOneTask) {
  const Example e = example();
  const Calibration c = calibrate(e.predicted, e.observations, 1);
  EXPECT_EQ(c.count, 5u);
  EXPECT_NEAR(c.mean_z, (-0.9 - 0.1 + 0.3 + 1.1 + 2.4) / 5.0, 1e-14);
  EXPECT_NEAR(c.median_error, 0.09, 1e-14);
  EXPECT_THROW(calibrate(e.predicted, e.observations, 2), InputError);
}

TEST(Calibration, VerdictsFollowTheBands) {
  Calibration c;
  c.count = 100, c.coverage95 = 0.95, c.mean_z2 = 1.0;
  EXPECT_EQ(c.honesty(), Honesty::Honest);
  EXPECT_EQ(c.verdict().rfind("honest: 95 % intervals hold 95 % of 100 observations", 0), 0u) << c.verdict();
  c.mean_z2 = 1.41;
  EXPECT_EQ(c.honesty(), Honesty::TooConfident);
  c.mean_z2 = 1.0, c.coverage95 = 0.87;
  EXPECT_EQ(c.honesty(), Honesty::TooConfident);
  EXPECT_TRUE(c.sd_usable());
  c.coverage95 = 0.84;
  EXPECT_FALSE(c.sd_usable());
  c.coverage95 = 1.0, c.mean_z2 = 0.69;
  EXPECT_EQ(c.honesty(), Honesty::TooWide);
  c.coverage95 = 0.95, c.mean_z2 = 1.0, c.mean_z = 0.21;
  EXPECT_EQ(c.honesty(), Honesty::Biased);
  c.count = 10, c.mean_z = 0.6, c.mean_z2 = 1.7, c.coverage95 = 0.9;  // chance, with so few
  EXPECT_EQ(c.honesty(), Honesty::Honest);
}

// Drawn from the model itself: honest. The same model with variances four times too small or too large: not.
TEST(Calibration, JudgesModelsWhoseTruthIsKnown) {
  Rng rng(50, Purpose::Test);
  const Hyperparameters h = random_hyperparameters(rng, 2, 2);
  std::vector<Observation> all = sample(rng, h, 400);
  const std::vector<Observation> seen(all.begin(), all.begin() + 200), held_out(all.begin() + 200, all.end());
  const auto scaled = [&](double by) {
    Hyperparameters wrong = h;
    for (size_t i = 0; i < 4; ++i) wrong.task_covariance.data()[i] *= by;
    for (double& noise : wrong.noise) noise *= by;
    return MultiTaskGp(seen, wrong, no_standardisation(2));
  };
  for (const auto& [by, expected] :
       {std::pair{1.0, Honesty::Honest}, std::pair{0.25, Honesty::TooConfident}, std::pair{4.0, Honesty::TooWide}}) {
    const MultiTaskGp gp = scaled(by);
    EXPECT_EQ(calibrate(gp.predict_observations(held_out), held_out).honesty(), expected) << by;
    EXPECT_EQ(calibrate(gp.leave_one_x_out(), seen).honesty(), expected) << by;
  }
  const Calibration c = calibrate(scaled(1.0).predict_observations(held_out), held_out);
  EXPECT_LT(c.ks, c.ks_limit);
  EXPECT_GT(c.log_gain, 0.1);
  EXPECT_GT(c.spearman, 0.8);
}

TEST(Calibration, EqualAccuraciesGainNothingByRounding) {
  LeaveOneOut told;
  std::vector<Observation> observations;
  for (int i = 0; i < 10; ++i) {
    observations.push_back({{0.1 * i}, 0, 0.1});  // whose mean is not 0.1 to the last bit
    told.mean.push_back(0.1);
    told.variance.push_back(1e-4);
    told.z.push_back(0.0);
    told.log_density.push_back(3.686);
  }
  EXPECT_NEAR(calibrate(told, observations).log_gain, 3.686, 1e-9);
}

TEST(Calibration, HeldOutObservationsArePredictedWithTheirNoise) {
  Rng rng(51, Purpose::Test);
  const Hyperparameters h = random_hyperparameters(rng, 3, 2);
  std::vector<Observation> all = sample(rng, h, 40);
  for (Observation& o : all) o.y = 1.0 / (1.0 + std::exp(-o.y));
  const std::vector<Observation> seen(all.begin(), all.begin() + 30), held_out(all.begin() + 30, all.end());
  for (bool logit : {false, true}) {
    const Standardisation s = standardise(seen, 3, logit);
    const LeaveOneOut told = MultiTaskGp(seen, h, s).predict_observations(held_out);
    for (size_t i = 0; i < held_out.size(); ++i) {  // leaving it out of a model that has it says the same
      std::vector<Observation> with = seen;
      with.push_back(held_out[i]);
      const LeaveOneOut left_out = MultiTaskGp(with, h, s).leave_one_out();
      EXPECT_NEAR(told.mean[i], left_out.mean.back(), 1e-9);
      EXPECT_NEAR(told.variance[i], left_out.variance.back(), 1e-9);
      EXPECT_NEAR(told.z[i], left_out.z.back(), 1e-8);
      EXPECT_NEAR(told.log_density[i], left_out.log_density.back(), 1e-8);
    }
  }
}

}  // namespace
}  // namespace kronbit::gp
