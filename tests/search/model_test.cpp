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
Model made(const std::vector<Candidate>& candidates, double variance, const std::vector<int>& tasks,
           bool logit = false) {
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
  gp::Standardisation plain = gp::no_standardisation(2);
  plain.logit_warp = logit;
  return {places, gp::MultiTaskGp(std::move(observations), h, plain)};
}

TEST(WidenedModel, IsAsSureAsItDeserves) {
  const std::vector<Candidate> candidates = few();
  const Model sure = made(candidates, 1e-4, {0, 1}), wide = widened(sure);
  const double z2 = gp::calibrate(sure.gp().leave_one_x_out(), sure.gp().observations(), 1).mean_z2;
  ASSERT_GT(z2, 2.0);
  EXPECT_DOUBLE_EQ(wide.widening(), z2);
  for (const int task : {0, 1}) {
    const gp::Posterior before = sure.predict(candidates, task), after = wide.predict(candidates, task);
    for (size_t c = 0; c < candidates.size(); ++c) {
      EXPECT_NEAR(after.mean[c], before.mean[c], 1e-9);
      EXPECT_NEAR(after.variance[c], z2 * before.variance[c], 1e-9 * z2);
    }
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
    EXPECT_NEAR(predicted.variance[i], wide.widening() * before.variance[i], 1e-9 * wide.widening());
    const double z = (held_out[i].y - predicted.mean[i]) / std::sqrt(predicted.variance[i]);
    EXPECT_NEAR(predicted.z[i], z, 1e-9 * std::abs(z));
    const double density = -0.5 * z * z - 0.5 * std::log(2.0 * std::numbers::pi * predicted.variance[i]);
    EXPECT_NEAR(predicted.log_density[i], density, 1e-9 * std::abs(density));
  }
}

TEST(WidenedModel, OfLogitsIsWideInLogits) {
  const std::vector<Candidate> candidates = few();
  const Model sure = made(candidates, 0.01, {0, 1}, true), wide = widened(sure);
  ASSERT_GT(wide.widening(), 2.0);
  const gp::Posterior told = wide.predict(candidates, 1);
  const std::vector<std::vector<double>> places = sure.places()(candidates);
  const gp::Standardisation& s = sure.gp().standardisation();
  // Quantiles go through the warp and back exactly: medians and deviations of the logits themselves.
  const std::vector<double> median = sure.gp().quantiles(places, 1, 0.0), above = sure.gp().quantiles(places, 1, 1.0);
  for (size_t c = 0; c < candidates.size(); ++c) {
    const double centre = s.forward(median[c], 1), sd = s.forward(above[c], 1) - centre;
    double mean = 0.0, variance = 0.0;
    s.backward(centre, wide.widening() * sd * sd, 1, mean, variance);
    EXPECT_NEAR(told.mean[c], mean, 1e-6);
    EXPECT_NEAR(told.variance[c], variance, 1e-6);
    EXPECT_LE(std::sqrt(told.variance[c]), 0.5);
  }
}

TEST(Places, OfTheDefaultModelByHand) {
  const std::vector<Candidate> candidates = {{{8, 1, 3}, {0, 0}, {}, std::log(2.0)},
                                             {{2, 2, 2}, {0, 0}, {}, std::log(9.0)},
                                             {{1, 4, 4}, {0, 0}, {}, std::log(5.0)}};
  const Places places(Inputs::BitsAndError, candidates);
  const double low = std::pow(2.0, 0.75), high = std::pow(9.0, 0.75);
  const std::vector<double> third = places(candidates[2]);
  ASSERT_EQ(third.size(), 4u);
  EXPECT_NEAR(third[0], 0.0 / 7, 1e-12);
  EXPECT_NEAR(third[1], 3.0 / 7, 1e-12);
  EXPECT_NEAR(third[3], (std::pow(5.0, 0.75) - low) / (high - low), 1e-12);
}

TEST(Places, CovarianceOfTheDefaultModelByHand) {
  const std::vector<Candidate> candidates = with_errors(few());
  const Places places(Inputs::BitsAndError, candidates);
  const std::vector<double> scales = {0.4, 0.7, 1.3}, weights = {0.3, 0.2, 0.4, 0.1};
  const gp::Covariance k(places.covariance(gp::Kernel::Matern52), scales, weights);
  const std::vector<double> a = places(candidates[1]), b = places(candidates[4]);
  const size_t bits = a.size() - 1;
  const double e = a[bits], f = b[bits];
  double squares = 0.0;
  for (size_t l = 0; l < bits; ++l) squares += (a[l] - b[l]) * (a[l] - b[l]) / static_cast<double>(bits);
  const auto matern = [&](double scale) {
    const double r = std::sqrt(5.0 * squares) / scale;
    return (1 + r + r * r / 3) * std::exp(-r);
  };
  const double wanted = weights[0] * std::exp(-0.5 * std::pow((e - f) / scales[0], 2)) +
                        weights[1] * 12 * (e - 0.5) * (f - 0.5) + weights[2] * matern(scales[1]) +
                        weights[3] * 3 * e * f * matern(scales[2]);
  EXPECT_NEAR(k(a, b), wanted, 1e-12);
}

TEST(Evidence, IsTheCorrelationByTheDefinitionOfTheModel) {
  const std::vector<Candidate> candidates = few();
  const Model model = made(candidates, 0.02, {0, 1});
  History history;
  history.candidates = candidates;
  history.costs = {1, 4};
  history.known.resize(candidates.size());
  history.known[3] = {0.4, 0.5};
  history.known[6] = {0.3};
  const gp::Hyperparameters& h = model.gp().hyperparameters();
  const std::vector<Evidence> evidence = evidence_for(model, history, candidates[0], 10);
  ASSERT_EQ(evidence.size(), 2u);
  for (const Evidence& each : evidence) {
    const std::vector<double> here = model.places()(candidates[0]), there = model.places()(candidates[each.candidate]);
    const gp::Covariance k = h.covariance();
    double most = 0.0;
    for (size_t task = 0; task < history.known[each.candidate].size(); ++task) {
      const double variance = h.task_covariance(task, task) * k(there, there) + h.noise[task];
      most = std::max(most, h.task_covariance(1, task) * k(here, there) /
                                std::sqrt(h.task_covariance(1, 1) * k(here, here) * variance));
    }
    EXPECT_NEAR(each.correlation, most, 1e-12);
  }
  EXPECT_GE(std::abs(evidence[0].correlation), std::abs(evidence[1].correlation));
}

TEST(Evidence, WhatGoesTheOtherWayTellsToo) {
  // A line over the error is at odds with itself at both ends.
  const std::vector<Candidate> candidates = with_errors(few());
  const Places places(Inputs::Error, candidates);
  gp::Hyperparameters h{.task_covariance = gp::Matrix(1, 1),
                        .lengthscales = {0.2},
                        .noise = {0.01},
                        .kernel = places.covariance(gp::Kernel::Matern52),
                        .weights = {0.01, 0.99}};
  h.task_covariance(0, 0) = 1.0;
  size_t low = 0, high = 0, middle = 0;
  const auto e = [&](size_t c) { return places(candidates[c])[0]; };
  for (size_t c = 0; c < candidates.size(); ++c) {
    if (e(c) < e(low)) low = c;
    if (e(c) > e(high)) high = c;
    if (std::abs(e(c) - 0.5) < std::abs(e(middle) - 0.5)) middle = c;
  }
  const Model model(places, gp::MultiTaskGp({{places(candidates[high]), 0, 0.2}, {places(candidates[middle]), 0, 0.6}},
                                            h, gp::no_standardisation(1)));
  History history;
  history.candidates = candidates;
  history.costs = {1};
  history.known.resize(candidates.size());
  history.known[high] = {0.2};
  history.known[middle] = {0.6};
  const std::vector<Evidence> evidence = evidence_for(model, history, candidates[low], 2);
  EXPECT_EQ(evidence[0].candidate, high);
  EXPECT_LT(evidence[0].correlation, -0.5);
}

}  // namespace
}  // namespace kronbit::search
