#include "gp/information.h"

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

// A noisy observation or a value of the target function: the variables of the joint Gaussian.
struct Variable {
  std::vector<double> x;
  size_t task;
  bool noisy;
};

double log_determinant(const std::vector<Variable>& variables, const Hyperparameters& h) {
  Matrix sigma(variables.size(), variables.size());
  for (size_t i = 0; i < variables.size(); ++i) {
    for (size_t j = 0; j < variables.size(); ++j) {
      const Variable &a = variables[i], &b = variables[j];
      sigma(i, j) = h.task_covariance(a.task, b.task) * h.covariance()(a.x, b.x);
      if (i == j && a.noisy) sigma(i, j) += h.noise[a.task];
    }
  }
  const Cholesky factor(sigma);
  EXPECT_EQ(factor.jitter(), 0.0);
  return factor.log_determinant();
}

// I(new; f_m | y) = ½ ln( det Σ(y,new) det Σ(y,f) / (det Σ(y) det Σ(y,new,f)) ). Under the model f_m matters only at
// the points of y and of the new observations, so the joint Gaussian over those is the whole truth.
double brute_force(std::vector<Variable> known, const std::vector<Variable>& fresh, const Hyperparameters& h) {
  std::vector<Variable> target;
  const auto add_target = [&](const Variable& v) {
    for (const Variable& t : target) {
      if (t.x == v.x) return;
    }
    target.push_back({v.x, h.noise.size() - 1, false});
  };
  for (const Variable& v : known) add_target(v);
  for (const Variable& v : fresh) add_target(v);
  const auto join = [](std::vector<Variable> a, const std::vector<Variable>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
  };
  const std::vector<Variable> with_fresh = join(known, fresh);
  return 0.5 * (log_determinant(with_fresh, h) + log_determinant(join(known, target), h) - log_determinant(known, h) -
                log_determinant(join(with_fresh, target), h));
}

class Information : public ::testing::TestWithParam<size_t> {};

TEST_P(Information, EqualsTheJointGaussianAlsoAfterAppends) {
  const size_t m = GetParam();
  Rng rng(10 + m, Purpose::Test);
  Hyperparameters h = random_hyperparameters(rng, m, 2, Kernel::Matern52);  // the joint stays well conditioned
  const std::vector<Observation> observations = sample(rng, h, 14);
  std::vector<Variable> known;
  for (const Observation& o : observations) known.push_back({o.x, static_cast<size_t>(o.task), true});
  std::vector<std::vector<double>> candidates{observations[0].x};
  for (int i = 0; i < 4; ++i) candidates.push_back(random_point(rng, 2));
  InformationGain gain(MultiTaskGp(observations, h, standardise(observations, static_cast<int>(m))), candidates);
  for (int round = 0; round < 4; ++round) {
    for (size_t c = 0; c < candidates.size(); ++c) {
      std::vector<Variable> run;
      for (size_t t = 0; t < m; ++t) {
        const int task = static_cast<int>(t);
        EXPECT_NEAR(gain.information(c, task), brute_force(known, {{candidates[c], t, true}}, h), 1e-8);
        run.push_back({candidates[c], t, true});
        EXPECT_NEAR(gain.run_information(c, task), brute_force(known, run, h), 1e-8);
      }
      EXPECT_NEAR(gain.run_information(c, static_cast<int>(m) - 1, static_cast<int>(m) - 1),
                  gain.information(c, static_cast<int>(m) - 1), 1e-12);
    }
    const size_t candidate = rng.below(candidates.size()), task = round == 0 ? m - 1 : rng.below(m);
    gain.append(candidate, static_cast<int>(task));
    known.push_back({candidates[candidate], task, true});
  }
}
INSTANTIATE_TEST_SUITE_P(Tasks, Information, ::testing::Values(1u, 2u, 4u));

TEST(InformationGain, AppendsEqualAFreshStart) {
  Rng rng(20, Purpose::Test);
  const Hyperparameters h = random_hyperparameters(rng, 3, 2);
  std::vector<Observation> observations = sample(rng, h, 20);
  std::vector<std::vector<double>> candidates;
  for (int i = 0; i < 200; ++i) candidates.push_back(random_point(rng, 2));
  InformationGain grown(MultiTaskGp(observations, h, no_standardisation(3)), candidates);
  for (size_t i = 0; i < 150; ++i) {
    const size_t c = rng.below(candidates.size());
    const int task = static_cast<int>(rng.below(3));
    grown.append(c, task);
    observations.push_back({candidates[c], task, 0.0});
  }
  const InformationGain fresh(MultiTaskGp(observations, h, no_standardisation(3)), candidates);
  for (size_t c = 0; c < candidates.size(); ++c) {
    for (int t = 0; t < 3; ++t) {
      EXPECT_NEAR(grown.information(c, t), fresh.information(c, t), 1e-8);
      EXPECT_NEAR(grown.run_information(c, t), fresh.run_information(c, t), 1e-8);
    }
  }
}

TEST(InformationGain, AnObservationTellsLessTheSecondTime) {
  Rng rng(21, Purpose::Test);
  const Hyperparameters h = random_hyperparameters(rng, 2, 1);
  InformationGain gain(MultiTaskGp({{{0.2}, 0, 0.5}}, h, no_standardisation(2)), {{0.7}});
  for (int task : {0, 1}) {
    for (int i = 0; i < 300; ++i) {
      const double before = gain.information(0, task);
      gain.append(0, task);
      EXPECT_LT(gain.information(0, task), before);
      EXPECT_GT(gain.information(0, task), 0.0);
    }
  }
}

TEST(InformationGain, UncorrelatedTasksTellNothing) {
  const Hyperparameters h{Matrix::identity(2), {0.3}, {0.01, 0.01}, Kernel::SquaredExponential};
  const InformationGain gain(MultiTaskGp({{{0.2}, 0, 0.5}}, h, no_standardisation(2)), {{0.7}});
  EXPECT_EQ(gain.information(0, 0), 0.0);
  EXPECT_NEAR(gain.information(0, 1), 0.5 * std::log(1.01 / 0.01), 1e-12);
}

TEST(InformationGain, SameBitsForAnyNumberOfThreads) {
  Rng rng(22, Purpose::Test);
  const Hyperparameters h = random_hyperparameters(rng, 3, 2);
  const MultiTaskGp gp(sample(rng, h, 90), h, no_standardisation(3));
  std::vector<std::vector<double>> candidates;
  for (int i = 0; i < 5000; ++i) candidates.push_back(random_point(rng, 2));
  std::vector<std::vector<double>> found;
  const KeepThreads keep;
  for (int n : {1, 3}) {
    set_threads(n);
    InformationGain gain(gp, candidates);
    gain.append(17, 1);
    found.emplace_back();
    for (size_t c = 0; c < candidates.size(); ++c) found.back().push_back(gain.run_information(c, 2));
  }
  EXPECT_EQ(found[0], found[1]);
}

TEST(InformationGain, RefusesBadCandidatesAndTasks) {
  Rng rng(23, Purpose::Test);
  const Hyperparameters h = random_hyperparameters(rng, 2, 1);
  const MultiTaskGp gp({{{0.2}, 0, 0.5}}, h, no_standardisation(2));
  EXPECT_THROW(InformationGain(gp, {{0.1, 0.2}}), InputError);
  EXPECT_THROW(InformationGain(gp, {{std::numeric_limits<double>::infinity()}}), InputError);
  InformationGain gain(gp, {{0.1}});
  EXPECT_THROW(gain.information(1, 0), InputError);
  EXPECT_THROW(gain.run_information(0, 2), InputError);
  EXPECT_THROW(gain.append(0, -1), InputError);
}

}  // namespace
}  // namespace kronbit::gp
