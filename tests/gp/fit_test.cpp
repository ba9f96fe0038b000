#include "gp/fit.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support.h"
#include "tensor/base/error.h"
#include "tests/tensor/keep_threads.h"

namespace kronbit::gp {
namespace {

using testing::random_hyperparameters;
using testing::random_point;
using testing::sample;

// Five-point central differences.
template <class F>
void expect_gradient(const F& f, std::vector<double> at, const std::vector<double>& gradient, double tolerance) {
  ASSERT_EQ(gradient.size(), at.size());
  for (size_t i = 0; i < at.size(); ++i) {
    const double step = 1e-3, kept = at[i];
    const auto moved = [&](double by) {
      at[i] = kept + by * step;
      const double value = f(at);
      at[i] = kept;
      return value;
    };
    const double slope = (8.0 * (moved(1.0) - moved(-1.0)) - (moved(2.0) - moved(-2.0))) / (12.0 * step);
    EXPECT_NEAR(gradient[i], slope, tolerance * (1.0 + std::abs(gradient[i]))) << "parameter " << i;
  }
}

TEST(FitObjective, GradientsByCentralDifferences) {
  Rng rng(30, Purpose::Test);
  for (Kernel kernel : {Kernel::SquaredExponential, Kernel::Matern52}) {
    for (int tasks : {1, 2, 4}) {
      const Hyperparameters h = random_hyperparameters(rng, static_cast<size_t>(tasks), 3);
      const std::vector<Observation> observations = sample(rng, h, 25);
      const FitObjective objective(observations, standardise(observations, tasks), kernel);
      for (int start = 0; start < 4; ++start) {
        const std::vector<double> at = objective.start(start, 99);
        expect_gradient([&](const std::vector<double>& p) { return objective(p).value; }, at, objective(at).gradient,
                        1e-6);
        expect_gradient([&](const std::vector<double>& p) { return objective.log_prior(p).value; }, at,
                        objective.log_prior(at).gradient, 1e-6);
      }
    }
  }
}

TEST(FitObjective, GradientsOfEveryKindOfKernel) {
  Rng rng(36, Purpose::Test);
  for (const KernelSpec& spec : testing::kernel_specs(5)) {
    const std::vector<Observation> observations = sample(rng, random_hyperparameters(rng, 3, 5, spec), 25);
    const FitObjective objective(observations, standardise(observations, 3), spec);
    for (int start = 0; start < 3; ++start) {
      const std::vector<double> at = objective.start(start, 17);
      expect_gradient([&](const std::vector<double>& p) { return objective(p).value; }, at, objective(at).gradient,
                      1e-6);
      expect_gradient([&](const std::vector<double>& p) { return objective.log_prior(p).value; }, at,
                      objective.log_prior(at).gradient, 1e-6);
    }
  }
}

TEST(FitObjective, MemoryUsedAgainChangesNothing) {
  Rng rng(37, Purpose::Test);
  const std::vector<Observation> observations = sample(rng, random_hyperparameters(rng, 3, 2), 21);
  const FitObjective objective(observations, standardise(observations, 3), Kernel::SquaredExponential);
  FitObjective::Workspace workspace;
  for (int start = 0; start < 4; ++start) {
    const std::vector<double> at = objective.start(start, 3);
    const ObjectiveValue again = objective(at, workspace), fresh = objective(at);
    EXPECT_EQ(again.value, fresh.value);
    EXPECT_EQ(again.gradient, fresh.gradient);
  }
}

TEST(FitObjective, IsTheLikelihoodOfTheModelPlusThePriors) {
  Rng rng(31, Purpose::Test);
  const std::vector<Observation> observations = sample(rng, random_hyperparameters(rng, 3, 2), 21);
  const Standardisation s = standardise(observations, 3);
  const FitObjective objective(observations, s, Kernel::SquaredExponential);
  const std::vector<double> at = objective.start(2, 5);
  const MultiTaskGp gp(observations, objective.unpack(at), s);
  EXPECT_NEAR(objective(at).value, gp.log_marginal_likelihood() + objective.log_prior(at).value, 1e-9);
}

// The densities written out again, from their definitions.
TEST(FitObjective, PriorsAreTheDensitiesOfTheDocumentation) {
  const std::vector<Observation> one{{{0.1, 0.2, 0.3}, 0, 1.0}};
  const KernelSpec sum({each_input(Kernel::SquaredExponential, 0, 3), shared_inputs(Kernel::Matern52, 0, 3)});
  const FitObjective objective(one, standardise(one, 3), sum);
  const std::vector<double> at = objective.start(1, 8);
  const Hyperparameters h = objective.unpack(at);
  const double pi = std::acos(-1.0);
  const auto log_normal = [&](double v, double mu, double sd) {
    return std::log(1.0 / (v * sd * std::sqrt(2.0 * pi)) * std::exp(-std::pow(std::log(v) - mu, 2) / (2.0 * sd * sd)));
  };
  double expected = 0.0;
  ASSERT_EQ(h.lengthscales.size(), 4u);  // each counts as one of those of its own term
  for (size_t b = 0; b < 4; ++b) {
    expected += log_normal(h.lengthscales[b], std::sqrt(2.0) + 0.5 * std::log(b < 3 ? 3.0 : 1.0), std::sqrt(3.0));
  }
  const double ratio = std::log(h.weights[1] / h.weights[0]);
  expected += std::log(std::exp(-ratio * ratio / 8.0) / (2.0 * std::sqrt(2.0 * pi)));
  for (double v : h.noise) expected += log_normal(v, -4.0, 1.0);
  const Matrix& kf = h.task_covariance;
  for (size_t a = 0; a < 3; ++a) {
    for (size_t b = 0; b < a; ++b) {
      const double rho = kf(a, b) / std::sqrt(kf(a, a) * kf(b, b));
      const double beta = std::tgamma(2.5) * std::tgamma(1.5) / std::tgamma(4.0);
      expected += std::log(std::pow(rho, 1.5) * std::pow(1.0 - rho, 0.5) / beta);
    }
  }
  EXPECT_NEAR(objective.log_prior(at).value, expected, 1e-9);
}

// Maximises the density of the value itself on a fine grid of one parameter.
double mode(const FitObjective& objective, size_t parameter) {
  std::vector<double> at = objective.start(0, 0);
  double best = -std::numeric_limits<double>::infinity(), where = 0.0;
  for (double v = objective.lower()[parameter]; v < 3.0; v += 1e-4) {
    at[parameter] = v;
    const double value = objective.log_prior(at).value;
    if (value > best) best = value, where = v;
  }
  return std::exp(where);
}

TEST(FitObjective, PriorModes) {
  for (size_t d : {1u, 2u, 6u}) {
    const std::vector<Observation> one{{std::vector<double>(d, 0.5), 0, 1.0}};
    const FitObjective objective(one, standardise(one, 1), Kernel::SquaredExponential);
    EXPECT_NEAR(mode(objective, 1), 0.205 * std::sqrt(static_cast<double>(d)), 1e-3 * std::sqrt(d));
    EXPECT_NEAR(mode(objective, 1 + d), std::exp(-5.0), 1e-5);
  }
  const std::vector<Observation> one{{{0.5}, 0, 1.0}};
  const FitObjective two(one, standardise(one, 2), Kernel::SquaredExponential);
  const double u = mode(two, 2);
  EXPECT_NEAR(u / std::sqrt(1.0 + u * u), 0.75, 1e-3);
}

TEST(FitObjective, StartsHaveDistinctTasksAndPositiveCorrelations) {
  const std::vector<Observation> one{{{0.5}, 0, 1.0}};
  const FitObjective objective(one, standardise(one, 4), Kernel::SquaredExponential);
  const Matrix kf = objective.unpack(objective.start(0, 0)).task_covariance;
  for (size_t a = 0; a < 4; ++a) {
    for (size_t b = 0; b <= a; ++b) EXPECT_NEAR(kf(a, b), std::pow(0.75, static_cast<double>(a - b)), 1e-12);
  }
  EXPECT_EQ(objective.start(3, 1), objective.start(3, 1));
  EXPECT_NE(objective.start(3, 1), objective.start(3, 2));
  EXPECT_NE(objective.start(3, 1), objective.start(2, 1));
}

TEST(Fit, RecoversTheModelItsDataCameFrom) {
  Rng rng(32, Purpose::Test);
  Hyperparameters truth{Matrix(2, 2, 1.0), {0.25, 0.6}, {0.01, 0.01}, Kernel::SquaredExponential};
  truth.task_covariance(0, 1) = truth.task_covariance(1, 0) = 0.9;
  const std::vector<Observation> observations = sample(rng, truth, 160);
  FitReport report;
  const MultiTaskGp gp = fit(observations, {.tasks = 2, .starts = 3, .seed = 1}, &report);
  const FitObjective objective(observations, standardise(observations, 2), Kernel::SquaredExponential);
  for (int start = 0; start < 3; ++start) {
    EXPECT_GT(report.objective, objective(objective.start(start, 1)).value + 1.0);
    EXPECT_GE(report.objective, report.start_objectives[static_cast<size_t>(start)]);
  }
  const Hyperparameters& h = gp.hyperparameters();
  EXPECT_NEAR(std::log(h.lengthscales[0] / 0.25), 0.0, 0.35);
  EXPECT_NEAR(std::log(h.lengthscales[1] / 0.6), 0.0, 0.35);
  const Matrix& kf = h.task_covariance;
  EXPECT_NEAR(kf(0, 1) / std::sqrt(kf(0, 0) * kf(1, 1)), 0.9, 0.1);
  for (size_t t = 0; t < 2; ++t) {
    const double scale = gp.standardisation().scale[t];
    EXPECT_NEAR(std::log(h.noise[t] * scale * scale / 0.01), 0.0, 0.7);
  }
  const LeaveOneOut loo = gp.leave_one_out();
  double squares = 0.0;
  for (double z : loo.z) squares += z * z / static_cast<double>(loo.z.size());
  EXPECT_GT(squares, 0.7);
  EXPECT_LT(squares, 1.4);
}

// y depends on the first input alone: a sum of terms has to find that.
TEST(Fit, GivesTheWeightToTheTermThatExplains) {
  Rng rng(38, Purpose::Test);
  std::vector<Observation> observations;
  for (int i = 0; i < 60; ++i) {
    const std::vector<double> x = random_point(rng, 4);
    observations.push_back({x, 0, std::sin(4.0 * x[0]) + 0.02 * rng.normal()});
  }
  const KernelSpec sum({each_input(Kernel::SquaredExponential, 0, 1), shared_inputs(Kernel::Matern52, 1, 3)});
  const MultiTaskGp gp = fit(observations, {.tasks = 1, .starts = 2, .kernel = sum});
  const std::vector<double>& weights = gp.hyperparameters().weights;
  ASSERT_EQ(weights.size(), 2u);
  EXPECT_NEAR(weights[0] + weights[1], 1.0, 1e-12);
  EXPECT_GT(weights[0], 0.9);
  const Posterior p = gp.predict({{0.3, 0.1, 0.2, 0.3}, {0.3, 0.9, 0.8, 0.7}}, 0);
  for (double mean : p.mean) EXPECT_NEAR(mean, std::sin(1.2), 0.05);
}

TEST(Fit, EndsAtAPointWhereTheGradientVanishes) {
  Rng rng(33, Purpose::Test);
  const std::vector<Observation> observations = sample(rng, random_hyperparameters(rng, 1, 1), 30);
  FitReport report;
  const MultiTaskGp gp = fit(observations, {.tasks = 1, .starts = 2}, &report);
  const FitObjective objective(observations, standardise(observations, 1), Kernel::SquaredExponential);
  const Hyperparameters& h = gp.hyperparameters();
  const std::vector<double> at{0.5 * std::log(h.task_covariance(0, 0)), std::log(h.lengthscales[0]),
                               std::log(h.noise[0])};
  const ObjectiveValue value = objective(at);
  EXPECT_NEAR(value.value, report.objective, 1e-9);
  for (size_t i = 0; i < at.size(); ++i) {
    if (at[i] > objective.lower()[i] + 1e-9 && at[i] < objective.upper()[i] - 1e-9) {
      EXPECT_NEAR(value.gradient[i], 0.0, 1e-2) << i;
    }
  }
}

TEST(Fit, SameSeedSameBitsWhateverTheThreads) {
  Rng rng(34, Purpose::Test);
  const std::vector<Observation> observations = sample(rng, random_hyperparameters(rng, 3, 2), 60);
  const FitOptions options{.tasks = 3, .starts = 2, .seed = 7};
  const KeepThreads keep;
  set_threads(1);
  const MultiTaskGp a = fit(observations, options);
  set_threads(3);
  const MultiTaskGp b = fit(observations, options);
  EXPECT_EQ(a.hyperparameters().lengthscales, b.hyperparameters().lengthscales);
  EXPECT_EQ(a.hyperparameters().noise, b.hyperparameters().noise);
  EXPECT_EQ(a.log_marginal_likelihood(), b.log_marginal_likelihood());
}

TEST(FitObjective, FiniteAtEveryCornerOfItsBounds) {
  Rng rng(35, Purpose::Test);
  const std::vector<Observation> observations = sample(rng, random_hyperparameters(rng, 3, 2), 20);
  const FitObjective objective(observations, standardise(observations, 3), Kernel::SquaredExponential);
  for (uint64_t corner = 0; corner < (1u << objective.dimension()); corner += 7) {
    std::vector<double> at(objective.dimension());
    for (size_t i = 0; i < at.size(); ++i) at[i] = (corner >> i) & 1 ? objective.upper()[i] : objective.lower()[i];
    const ObjectiveValue value = objective(at);
    EXPECT_TRUE(std::isfinite(value.value)) << corner;
    for (double g : value.gradient) EXPECT_TRUE(std::isfinite(g)) << corner;
  }
}

TEST(Maximise, FindsTheTopOfABoundedParabola) {
  const auto parabola = [](const std::vector<double>& x) {
    return ObjectiveValue{-(x[0] - 2.0) * (x[0] - 2.0) - 3.0 * (x[1] + 1.0) * (x[1] + 1.0),
                          {-2.0 * (x[0] - 2.0), -6.0 * (x[1] + 1.0)}};
  };
  const Maximum top = maximise(parabola, {0.0, 0.0}, {-1.0, -5.0}, {1.0, 5.0}, 100);
  EXPECT_NEAR(top.parameters[0], 1.0, 1e-6);  // the bound
  EXPECT_NEAR(top.parameters[1], -1.0, 1e-6);
  EXPECT_GT(top.nlopt_result, 0);
  EXPECT_LE(maximise(parabola, {0.0, 0.0}, {-1.0, -5.0}, {1.0, 5.0}, 2).evaluations, 2);
}

TEST(Maximise, ABreakdownEndsTheClimbAndKeepsTheBestPoint) {
  const auto never = [](const std::vector<double>&) -> ObjectiveValue { throw NumericalError("always"); };
  const Maximum nothing = maximise(never, {0.0}, {-1.0}, {1.0}, 100);
  EXPECT_EQ(nothing.value, -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(nothing.parameters.empty());
  EXPECT_LT(nothing.nlopt_result, 0);
  for (bool nan : {false, true}) {
    int calls = 0;
    const auto breaks = [&](const std::vector<double>& x) {
      if (++calls == 3 && nan) return ObjectiveValue{std::nan(""), {0.0}};
      if (calls >= 3) throw NumericalError("third call");
      return ObjectiveValue{-std::pow(x[0] - 0.9, 4), {-4.0 * std::pow(x[0] - 0.9, 3)}};
    };
    const Maximum best = maximise(breaks, {0.0}, {-1.0}, {1.0}, 100);
    EXPECT_EQ(calls, 3);
    EXPECT_GE(best.value, -std::pow(0.9, 4));
    EXPECT_EQ(best.parameters.size(), 1u);
  }
}

void expect_usable(const std::vector<Observation>& observations, const FitOptions& options) {
  const MultiTaskGp gp = fit(observations, options);
  EXPECT_TRUE(std::isfinite(gp.log_marginal_likelihood()));
  for (int task = 0; task < options.tasks; ++task) {
    const Posterior p = gp.predict({observations[0].x, std::vector<double>(observations[0].x.size(), 0.77)}, task);
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_TRUE(std::isfinite(p.mean[i]));
      EXPECT_TRUE(std::isfinite(p.variance[i]) && p.variance[i] >= 0.0);
    }
  }
  const LeaveOneOut loo = gp.leave_one_x_out();
  for (size_t i = 0; i < observations.size(); ++i) {
    EXPECT_TRUE(std::isfinite(loo.mean[i]) && std::isfinite(loo.z[i]) && std::isfinite(loo.log_density[i]));
    EXPECT_TRUE(std::isfinite(loo.variance[i]) && loo.variance[i] >= 0.0);
  }
}

TEST(Fit, OneObservation) { expect_usable({{{0.3, 0.4}, 0, 0.5}}, {.tasks = 4}); }

TEST(Fit, LogitOfZeroAndOne) {
  std::vector<Observation> observations;
  for (int i = 0; i < 12; ++i) observations.push_back({{i / 11.0}, i % 2, i < 6 ? 0.0 : 1.0});
  expect_usable(observations, {.tasks = 2, .logit_warp = true});
  const MultiTaskGp gp = fit(observations, {.tasks = 2, .logit_warp = true});
  const Posterior p = gp.predict({{0.0}, {1.0}}, 1);
  EXPECT_LT(p.mean[0], 0.2);
  EXPECT_GT(p.mean[1], 0.8);
}

// A few hundred sets nobody would wish for: every one is fitted, or refused by a named error; nothing is ever NaN.
TEST(Fit, DegenerateSetsAreFittedOrRefused) {
  int fitted = 0, refused = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed, Purpose::Test, {1});
    const int tasks = 1 + static_cast<int>(rng.below(4));
    const size_t inputs = 1 + rng.below(3), count = 1 + rng.below(12);
    const uint64_t x_kind = rng.below(4), y_kind = rng.below(6);
    const std::vector<double> same = random_point(rng, inputs);
    std::vector<Observation> observations;
    for (size_t i = 0; i < count; ++i) {
      std::vector<double> x = same;
      if (x_kind == 1) x = std::vector<double>(inputs, rng.uniform());  // collinear
      if (x_kind == 2) x = random_point(rng, inputs);
      if (x_kind == 3) x = std::vector<double>(inputs, 0.5 + 1e-12 * rng.normal());  // all but equal
      const int repeats = rng.below(2) == 0 ? 1 : tasks;                             // the same at every fidelity
      for (int t = 0; t < repeats; ++t) {
        double y = 0.1;                                          // all at chance
        if (y_kind == 1) y = static_cast<double>(rng.below(2));  // 0 and 1
        if (y_kind == 2) y = rng.uniform();
        if (y_kind == 3) y = 1.0 - 1e-15 * static_cast<double>(rng.below(3));
        if (y_kind == 4) y = 1e90 * rng.normal();
        if (y_kind == 5) y = 1e-200 * rng.normal();
        observations.push_back({x, repeats == 1 ? static_cast<int>(rng.below(static_cast<uint64_t>(tasks))) : t, y});
      }
    }
    const FitOptions options{
        .tasks = tasks, .starts = 2, .seed = seed, .max_evaluations = 40, .logit_warp = rng.below(2) == 0};
    try {
      expect_usable(observations, options);
      ++fitted;
    } catch (const InputError&) {
      ++refused;
      EXPECT_TRUE(options.logit_warp && y_kind >= 4);  // only outputs outside 0..1 under the logit are refused
    }
  }
  EXPECT_GT(fitted, 200);
  EXPECT_EQ(fitted + refused, 300);
}

TEST(Fit, RefusesBadOptionsAndObservations) {
  const std::vector<Observation> fine{{{0.5}, 0, 1.0}};
  EXPECT_THROW(fit({}, {.tasks = 1}), InputError);
  EXPECT_THROW(fit(fine, {.tasks = 0}), InputError);
  EXPECT_THROW(fit(fine, {.tasks = 1, .starts = 0}), InputError);
  EXPECT_THROW(fit(fine, {.tasks = 1, .max_evaluations = 0}), InputError);
  EXPECT_THROW(fit({{{0.5}, 1, 1.0}}, {.tasks = 1}), InputError);
  EXPECT_THROW(fit({{{0.5}, 0, 1.0}, {{0.5, 0.5}, 0, 1.0}}, {.tasks = 1}), InputError);
  EXPECT_THROW(fit({{{std::nan("")}, 0, 1.0}}, {.tasks = 1}), InputError);
  EXPECT_THROW(fit({{{0.5}, 0, std::numeric_limits<double>::infinity()}}, {.tasks = 1}), InputError);
  EXPECT_THROW(fit({{{}, 0, 1.0}}, {.tasks = 1}), InputError);
}

}  // namespace
}  // namespace kronbit::gp
