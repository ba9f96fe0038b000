// Operators where PyTorch or central differences say nothing: refusals, extreme numbers, ties, randomness, padding.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "nn/ops/add.h"
#include "nn/ops/avg_pool.h"
#include "nn/ops/batch_norm.h"
#include "nn/ops/channel_affine.h"
#include "nn/ops/concat.h"
#include "nn/ops/conv_norm.h"
#include "nn/ops/dropout.h"
#include "nn/ops/flatten.h"
#include "nn/ops/max_pool.h"
#include "nn/ops/relu.h"
#include "nn/ops/shortcut_a.h"
#include "nn/ops/softmax_cross_entropy.h"
#include "nn/optim.h"
#include "nn/schedule.h"
#include "tests/tensor/message_of.h"

namespace kronbit::nn {
namespace {

Tensor logits(const std::vector<std::vector<float>>& rows) {
  Tensor t =
      Tensor::activation(1, 1, static_cast<int64_t>(rows.size()), static_cast<int64_t>(rows[0].size()), DType::F32);
  for (size_t n = 0; n < rows.size(); ++n)
    std::copy(rows[n].begin(), rows[n].end(), t.row<float>(static_cast<int64_t>(n)));
  return t;
}

TEST(BatchNorm, RefusesToTrainOnOneValuePerChannelButEvaluatesIt) {
  Var x(Tensor::activation(1, 1, 1, 3)), w(Tensor::zeros({3}), true), b(Tensor::zeros({3}), true);
  Var mean(Tensor::zeros({3})), variance(Tensor::zeros({3}));
  EXPECT_THROW(batch_norm(x, w, b, mean, variance, true), InputError);
  EXPECT_NO_THROW(batch_norm(x, w, b, mean, variance, false));
  // So does the fused operator.
  const auto conv = std::make_shared<Conv2d>(Conv2dOptions{3, 3, 1, 1, 1, 0});
  std::vector<Var> parameters{Var(Tensor::zeros({3, 3, 1, 1}), true), w, b, mean, variance};
  EXPECT_THROW(conv_norm(conv, {}, x, {}, parameters, true, {.training = true}), InputError);
  EXPECT_NO_THROW(conv_norm(conv, {}, x, {}, parameters, true, {}));
}

TEST(BatchNorm, LargeMeanKeepsTheVariance) {
  Tensor x = Tensor::activation(1, 1, 4, 1);
  for (int64_t n = 0; n < 4; ++n) x.row<float>(n)[0] = 10000.0f + static_cast<float>(n);
  const ChannelMoments m = channel_moments(x);
  EXPECT_EQ(m.mean[0], 10001.5);
  EXPECT_NEAR(m.variance[0], 1.25, 1e-7);
}

TEST(BatchNorm, ConstantChannelGivesTheBias) {
  Tensor x = Tensor::activation(1, 2, 2, 1), w = Tensor::from({1}, {3}), b = Tensor::from({1}, {0.5f});
  for (int64_t r = 0; r < 4; ++r) x.row<float>(r)[0] = 0.1f;
  EXPECT_THAT(normalize(x, norm_coefficients(channel_moments(x), w, b, 1e-5), nullptr, false).values(),
              testing::Each(testing::FloatNear(0.5f, 1e-4f)));
}

TEST(BatchNorm, EvaluationLeavesTheRunningStatistics) {
  BatchNorm op(2);
  Tensor x = Tensor::activation(1, 1, 4, 2);
  std::vector<Var> inputs = {Var(x)}, p;
  for (const ParameterSpec& spec : op.parameters()) p.emplace_back(Tensor::from(spec.shape, {1, 2}), spec.trainable());
  op.apply(inputs, p, RunContext());
  EXPECT_THAT(p[2].value().values(), testing::ElementsAre(1, 2));
  RunContext training;
  training.training = true;
  op.apply(inputs, p, training);
  EXPECT_THAT(p[2].value().values(), testing::ElementsAre(0.9f, 1.8f));
  EXPECT_FALSE(p[2].grad().defined());
}

TEST(Pool, RefusesWindowsThatDoNotFit) {
  EXPECT_THROW(MaxPool({.kernel = 2, .stride = 0}), InputError);
  EXPECT_THROW(MaxPool({.kernel = 3, .stride = 1, .pad = 2}), InputError);
  EXPECT_THROW(AvgPool({.kernel = 0}), InputError);
  const std::vector<Shape> small = {{2, 2, 1, 1}};
  EXPECT_THROW(MaxPool({.kernel = 3, .stride = 1}).output_shape(small), InputError);
  EXPECT_EQ(MaxPool({.kernel = 3, .stride = 1, .pad = 1}).output_shape(small), (Shape{2, 2, 1, 1}));
}

TEST(MaxPool, NanWinsAndTiesGoToTheFirst) {
  Tensor x = Tensor::activation(1, 4, 1, 1);
  const float values[] = {1, NAN, 2, 2};
  for (int64_t w = 0; w < 4; ++w) x.row<float>(w)[0] = values[w];
  const PoolOptions pairs{.kernel = 1, .stride = 1};
  EXPECT_TRUE(std::isnan(max_pool_forward(x, pairs).row<float>(1)[0]));
  Tensor tie = Tensor::activation(2, 2, 1, 1), dy = Tensor::activation(1, 1, 1, 1);
  for (int64_t r = 0; r < 4; ++r) tie.row<float>(r)[0] = r == 0 ? 1.0f : 2.0f;
  dy.row<float>(0)[0] = 5;
  EXPECT_THAT(max_pool_backward(dy, tie, {}).values(), testing::ElementsAre(0, 5, 0, 0));
  tie.row<float>(3)[0] = NAN;
  EXPECT_TRUE(std::isnan(max_pool_forward(tie, {}).row<float>(0)[0]));
  std::swap(tie.row<float>(3)[0], tie.row<float>(0)[0]);
  EXPECT_TRUE(std::isnan(max_pool_forward(tie, {}).row<float>(0)[0]));
}

TEST(Relu, NanPasses) {
  const Tensor x = logits({{NAN, -1, 2}}), y = relu_forward(x);
  EXPECT_TRUE(std::isnan(y.values()[0]));
  EXPECT_THAT(relu_backward(logits({{3, 4, 5}}), y).values(), testing::ElementsAre(3, 0, 5));
  const NormCoefficients same{{0, 0, 0}, {1, 1, 1}, {0, 0, 0}};
  EXPECT_TRUE(std::isnan(normalize(x, same, nullptr, true).values()[0]));
}

TEST(Shapes, MismatchesAreRefused) {
  const std::vector<Shape> maps = {{2, 2, 1, 4}, {2, 2, 1, 5}, {3, 2, 1, 4}};
  EXPECT_THROW(Add().output_shape(std::span(maps).first(2)), InputError);
  EXPECT_EQ(Concat().output_shape(std::span(maps).first(2)), (Shape{2, 2, 1, 9}));
  EXPECT_THROW(Concat().output_shape(maps), InputError);
  EXPECT_THROW(ShortcutA(7, 2).output_shape(maps), InputError);  // odd difference
  EXPECT_THROW(ShortcutA(2, 2).output_shape(maps), InputError);  // fewer channels
  EXPECT_EQ(ShortcutA(8, 2).output_shape(std::span(maps).last(1)), (Shape{2, 1, 1, 8}));
  EXPECT_THROW(BatchNorm(3).output_shape(maps), InputError);
  EXPECT_THROW(ChannelAffine(3).output_shape(maps), InputError);
}

TEST(NonNegative, HoldsWhereEveryInputIs) {
  const bool yes[] = {true, true}, mixed[] = {true, false};
  EXPECT_TRUE(Add().non_negative(yes));
  EXPECT_FALSE(Add().non_negative(mixed));
  EXPECT_TRUE(Concat().non_negative(yes));
  EXPECT_FALSE(Concat().non_negative(mixed));
  EXPECT_TRUE(Relu().non_negative(std::span(mixed).last(1)));
  EXPECT_FALSE(MaxPool({}).non_negative(std::span(mixed).last(1)));
  EXPECT_TRUE(ShortcutA(4, 2).non_negative(std::span(mixed).first(1)));
  EXPECT_FALSE(BatchNorm(4).non_negative(yes));
  EXPECT_FALSE(ChannelAffine(4).non_negative(yes));
}

TEST(Dropout, KeepsTheMeanAndDependsOnEveryKey) {
  Tensor x = Tensor::activation(1, 1, 100, 100);
  for (int64_t r = 0; r < 100; ++r) std::fill_n(x.row<float>(r), 100, 1.0f);
  const Tensor y = dropout_forward(x, 0.4, {1, 2, 3});
  double sum = 0;
  for (float v : y.values()) {
    EXPECT_TRUE(v == 0 || v == 1 / 0.6f) << v;
    sum += static_cast<double>(v);
  }
  EXPECT_NEAR(sum / 1e4, 1.0, 0.05);
  EXPECT_EQ(dropout_forward(x, 0.4, {1, 2, 3}).values(), y.values());
  EXPECT_NE(dropout_forward(x, 0.4, {2, 2, 3}).values(), y.values());
  EXPECT_NE(dropout_forward(x, 0.4, {1, 3, 3}).values(), y.values());
  EXPECT_NE(dropout_forward(x, 0.4, {1, 2, 4}).values(), y.values());
  EXPECT_THROW(Dropout(1.0, 0), InputError);
  EXPECT_THROW(Dropout(NAN, 0), InputError);
}

TEST(Dropout, IsTheIdentityInEvaluation) {
  const std::vector<Var> x = {Var(Tensor::activation(1, 1, 2, 3))};
  EXPECT_TRUE(Dropout(0.5, 1).apply(x, {}, RunContext()).value().shares_memory_with(x[0].value()));
}

TEST(CrossEntropy, IsStableAtExtremeLogits) {
  Var x(logits({{1e30f, -1e30f, 0}, {-1e30f, -1e30f, -1e30f}}), true);
  Var loss = softmax_cross_entropy(x, {0, 1});
  EXPECT_NEAR(loss.value().data<float>()[0], std::log(3.0) / 2, 1e-6);
  backward(loss);
  for (float g : x.grad().values()) EXPECT_TRUE(std::isfinite(g));
  Tensor wrong = softmax_cross_entropy_forward(logits({{1e30f, -1e30f}}), {1});
  EXPECT_FLOAT_EQ(wrong.data<float>()[0], 2e30f);
  EXPECT_TRUE(std::isnan(softmax_cross_entropy_forward(logits({{0, NAN}}), {0}).data<float>()[0]));
}

TEST(CrossEntropy, RefusesLabelsOutOfRange) {
  EXPECT_THROW(softmax_cross_entropy_forward(logits({{0, 1}}), {2}), InputError);
  EXPECT_THROW(softmax_cross_entropy_forward(logits({{0, 1}}), {-1}), InputError);
}

TEST(CountCorrect, BreaksTiesByClassAndNeverCountsNan) {
  const Tensor x = logits({{1, 1, 0}, {NAN, 5, 4}, {2, 3, NAN}, {0, 1, 2}});
  EXPECT_EQ(count_correct(x, {0, 0, 0, 2}, 1), 2);  // a tie won by class 0, and the last image
  EXPECT_EQ(count_correct(x, {1, 0, 0, 2}, 1), 1);
  EXPECT_EQ(count_correct(x, {1, 0, 1, 1}, 2), 3);  // NaN takes a place before class 1 of the third image
  EXPECT_EQ(count_correct(x, {2, 0, 0, 0}, 5), 3);  // more places than classes: all but the NaN label
}

TEST(Optimiser, LeavesRunningStatisticsAndUnusedParametersAlone) {
  std::vector<Parameter> p = {{"w", Role::Weight, Var(Tensor::from({2}, {1, 2}), true)},
                              {"unused", Role::Weight, Var(Tensor::from({1}, {7}), true)},
                              {"mean", Role::Mean, Var(Tensor::from({1}, {5}))}};
  p[0].var.add_grad(Tensor::from({2}, {1, 1}));
  Optimiser optimiser(p, Sgd{.lr = 1, .momentum = 0, .weight_decay = 0.5});
  optimiser.step(1);
  EXPECT_THAT(p[0].var.value().values(), testing::ElementsAre(-0.5f, 0.0f));
  EXPECT_THAT(p[1].var.value().values(), testing::ElementsAre(7));
  EXPECT_THAT(p[2].var.value().values(), testing::ElementsAre(5));
}

TEST(Optimiser, RefusesAnotherOptimisersStateNamingEveryProblem) {
  std::vector<Parameter> p = {{"w", Role::Weight, Var(Tensor::from({2}, {1, 2}), true)}};
  Optimiser adam(p, Adam{}), sgd(p, Sgd{});
  EXPECT_THAT(
      message_of([&] { adam.load_state(sgd.state()); }),
      testing::AllOf(testing::HasSubstr("first_moment.w is missing"), testing::HasSubstr("second_moment.w is missing"),
                     testing::HasSubstr("velocity.w is not used")));
  auto state = sgd.state();
  state["velocity.w"] = Tensor::zeros({3});
  EXPECT_THROW(sgd.load_state(state), InputError);
  state = sgd.state();
  state["step"].data<float>()[0] = 1.5f;
  EXPECT_THROW(sgd.load_state(state), InputError);
  EXPECT_THROW(Optimiser(p, Sgd{.lr = NAN}), InputError);
  EXPECT_THROW(Optimiser(p, Adam{.beta1 = 1}), InputError);
}

TEST(Schedule, ParsesAndPrints) {
  for (const char* text : {"constant", "step:30,45", "step:1", "cosine", "onecycle"})
    EXPECT_EQ(format_schedule(parse_schedule(text)), text);
  for (const char* text : {"", "step", "step:", "step:30,", "step:45,30", "step:0", "step:3,3", "step:-1", "step:1.5",
                           "step:99999999999999999999", "linear", "cosine "})
    EXPECT_THROW(parse_schedule(text), InputError) << text;
}

TEST(Schedule, WarmsUpAndSurvivesTheShortestRuns) {
  Schedule s;
  s.warmup_epochs = 2;
  EXPECT_DOUBLE_EQ(learning_rate(s, 1, 0, 100, 2), 0.25);
  EXPECT_DOUBLE_EQ(learning_rate(s, 1, 3, 100, 2), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate(s, 1, 50, 100, 2), 1.0);
  const Schedule cycle = parse_schedule("onecycle");
  EXPECT_EQ(learning_rate(cycle, 1, 0, 1, 1), 1);
  for (int64_t total = 1; total < 12; ++total)
    for (int64_t step = 0; step < total; ++step) {
      const double rate = learning_rate(cycle, 1, step, total, 1);
      EXPECT_TRUE(rate > 0 && rate <= 1) << total << " " << step << " " << rate;
    }
}

}  // namespace
}  // namespace kronbit::nn
