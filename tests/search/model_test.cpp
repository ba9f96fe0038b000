// What is told to people about the model: deviations as wide as left-out configurations say.
#include "search/model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "gp/calibration.h"
#include "strategies_support.h"

namespace kronbit::search {
namespace {

/// Two tasks on some curves, fake accuracies; `tasks` says which were observed. All variances are near `variance`.
Model made(const std::vector<Candidate>& candidates, double variance, const std::vector<int>& tasks) {
  const Places places(Inputs::Curve, candidates);
  std::vector<gp::Observation> observations;
  for (size_t c = 0; c < candidates.size(); c += 3)
    for (const int task : tasks)
      observations.push_back({places(candidates[c]), task, fake_accuracy(candidates[c].bits, task)});
  gp::Hyperparameters h{.task_covariance = gp::Matrix(2, 2),
                        .lengthscales = {0.3, 0.3},
                        .noise = {0.01 * variance, 0.01 * variance},
                        .kernel = places.covariance(gp::Kernel::Matern52)};
  h.task_covariance(0, 0) = h.task_covariance(1, 1) = variance;
  h.task_covariance(0, 1) = h.task_covariance(1, 0) = 0.5 * variance;
  return {places, gp::MultiTaskGp(std::move(observations), h, gp::no_standardisation(2))};
}

TEST(WidenedModel, IsAsSureAsItDeserves) {
  const std::vector<Candidate> candidates = few();
  const Model sure = made(candidates, 1e-4, {0, 1}), wide = widened(sure);
  const double z2 = gp::calibrate(sure.gp().leave_one_x_out(), sure.gp().observations(), 1).mean_z2;
  ASSERT_GT(z2, 2.0);
  EXPECT_DOUBLE_EQ(wide.widening(), z2);
  for (const int task : {0, 1}) {
    const gp::Posterior before = sure.predict(candidates, task), after = wide.predict(candidates, task);
    EXPECT_EQ(after.mean, before.mean);
    for (size_t c = 0; c < candidates.size(); ++c) EXPECT_DOUBLE_EQ(after.variance[c], z2 * before.variance[c]);
  }
  const gp::Posterior own = sure.gp().predict(sure.places()(candidates), 1);
  EXPECT_EQ(sure.predict(candidates, 1).variance, own.variance) << "what searches decide by is as it was fitted";
}

TEST(WidenedModel, IsNeverNarrowed) {
  const Model modest = made(few(), 100.0, {0, 1});
  EXPECT_LT(gp::calibrate(modest.gp().leave_one_x_out(), modest.gp().observations(), 1).mean_z2, 1.0);
  EXPECT_EQ(widened(modest).widening(), 1.0);
}

TEST(WidenedModel, WithoutTheLastTaskNothingIsKnown) { EXPECT_EQ(widened(made(few(), 1e-4, {0})).widening(), 1.0); }

TEST(WidenedModel, OneConfigurationIsLeftOutToo) {
  const std::vector<Candidate> one(1, few()[0]);
  EXPECT_GT(widened(made(one, 1e-4, {0, 1})).widening(), 1.0);
}

TEST(WidenedModel, ObservationsHaveTheDensityOfItsNormal) {
  const std::vector<Candidate> candidates = few();
  const Model wide = widened(made(candidates, 1e-4, {0, 1}));
  std::vector<gp::Observation> held_out;
  for (size_t c = 1; c < candidates.size(); c += 3)
    held_out.push_back({wide.places()(candidates[c]), 1, fake_accuracy(candidates[c].bits, 1)});
  const gp::LeaveOneOut predicted = wide.predict_observations(held_out);
  const gp::LeaveOneOut before = wide.gp().predict_observations(held_out);
  for (size_t i = 0; i < held_out.size(); ++i) {
    EXPECT_DOUBLE_EQ(predicted.variance[i], wide.widening() * before.variance[i]);
    const double z = (held_out[i].y - predicted.mean[i]) / std::sqrt(predicted.variance[i]);
    EXPECT_NEAR(predicted.z[i], z, 1e-12 * std::abs(z));
    const double density = -0.5 * z * z - 0.5 * std::log(2.0 * std::numbers::pi * predicted.variance[i]);
    EXPECT_NEAR(predicted.log_density[i], density, 1e-10 * std::abs(density));
  }
}

}  // namespace
}  // namespace kronbit::search
