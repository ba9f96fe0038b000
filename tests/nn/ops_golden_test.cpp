// Operators, optimisers and schedules against numbers computed by PyTorch (golden/make_ops_golden.py).
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>

#include "nn/ops/avg_pool.h"
#include "nn/ops/batch_norm.h"
#include "nn/ops/flatten.h"
#include "nn/ops/max_pool.h"
#include "nn/ops/shortcut_a.h"
#include "nn/ops/softmax_cross_entropy.h"
#include "nn/optim.h"
#include "nn/schedule.h"

namespace kronbit::nn {
namespace {

const std::vector<double>& golden(const std::string& name) {
  static const std::map<std::string, std::vector<double>> all = [] {
    std::map<std::string, std::vector<double>> read;
    std::ifstream file(KRONBIT_SOURCE_DIR "/tests/nn/golden/ops.txt");
    for (std::string line; std::getline(file, line);) {
      std::istringstream numbers(line.substr(line.find(':') + 1));
      std::vector<double>& values = read[line.substr(0, line.find(':'))];
      for (double v; numbers >> v;) values.push_back(v);
    }
    return read;
  }();
  return all.at(name);
}

float number(int64_t i, int64_t salt) {
  return static_cast<float>((i * (37 + 2 * salt) + salt * 101 + (i * i) % 53) % 512 - 256) / 64.0f;
}

/// Numbers in the order [H][W][N][C].
Tensor image(int64_t h, int64_t w, int64_t n, int64_t c, int64_t salt) {
  Tensor t = Tensor::activation(h, w, n, c);
  for (int64_t i = 0; i < t.count(); ++i) t.row<float>(i / c)[i % c] = number(i, salt);
  return t;
}

Tensor vector(int64_t n, int64_t salt) {
  Tensor t = Tensor::zeros({n});
  for (int64_t i = 0; i < n; ++i) t.data<float>()[i] = number(i, salt);
  return t;
}

void expect_golden(const std::string& name, const Tensor& got, double tolerance = 2e-6) {
  const std::vector<float> values = got.values();
  const std::vector<double>& wanted = golden(name);
  ASSERT_EQ(values.size(), wanted.size()) << name;
  for (size_t i = 0; i < values.size(); ++i)
    EXPECT_NEAR(values[i], wanted[i], tolerance * std::max(1.0, std::abs(wanted[i]))) << name << " " << i;
}

TEST(OpsGolden, BatchNorm) {
  Var x(image(2, 2, 2, 3, 1), true), weight(vector(3, 2), true), bias(vector(3, 3), true);
  Var mean(vector(3, 4)), variance(vector(3, 5));
  for (int i = 0; i < 3; ++i) variance.value().data<float>()[i] = std::abs(variance.value().data<float>()[i]) + 0.5f;
  Var y = batch_norm(x, weight, bias, mean, variance, true);
  expect_golden("bn_train_y", y.value());
  backward(y, image(2, 2, 2, 3, 6));
  expect_golden("bn_train_dx", x.grad(), 1e-5);
  expect_golden("bn_train_dweight", weight.grad(), 1e-5);
  expect_golden("bn_train_dbias", bias.grad());
  expect_golden("bn_running_mean", mean.value());
  expect_golden("bn_running_var", variance.value());
  expect_golden("bn_eval_y", batch_norm(x, weight, bias, mean, variance, false).value());
}

TEST(OpsGolden, PoolsShortcutAndFlatten) {
  Tensor x = image(5, 6, 2, 2, 7);
  for (int64_t r = 0; r < x.rows(); r += 2) x.row<float>(r)[0] -= 10;  // first image, first channel
  expect_golden("max_3_2_1", max_pool_forward(x, {.kernel = 3, .stride = 2, .pad = 1}));
  expect_golden("max_3_2_0_ceil", max_pool_forward(x, {.kernel = 3, .stride = 2, .ceil_mode = true}));
  expect_golden("max_2_3_1_ceil", max_pool_forward(x, {.kernel = 2, .stride = 3, .pad = 1, .ceil_mode = true}));
  expect_golden("avg_3_2_1", avg_pool_forward(x, {.kernel = 3, .stride = 2, .pad = 1}));
  expect_golden("avg_3_2_1_exclude",
                avg_pool_forward(x, {.kernel = 3, .stride = 2, .pad = 1, .count_include_pad = false}));
  expect_golden("avg_3_2_1_ceil", avg_pool_forward(x, {.kernel = 3, .stride = 2, .pad = 1, .ceil_mode = true}));
  expect_golden("avg_2_3_1_ceil", avg_pool_forward(x, {.kernel = 2, .stride = 3, .pad = 1, .ceil_mode = true}));
  expect_golden("shortcut_a", shortcut_a_forward(x, 4, 2));
  expect_golden("flatten", flatten_forward(x));
}

TEST(OpsGolden, CrossEntropy) {
  for (const auto& [name, smoothing] : {std::pair<std::string, double>{"ce_0.0", 0.0}, {"ce_0.1", 0.1}}) {
    Var logits(image(1, 1, 3, 5, 8), true);
    Var loss = softmax_cross_entropy(logits, {0, 4, 2}, smoothing);
    backward(loss);
    expect_golden(name, loss.value());
    expect_golden(name + "_dlogits", logits.grad());
  }
}

TEST(OpsGolden, OptimisersFollowFiveSteps) {
  const std::vector<std::pair<std::string, OptimiserOptions>> cases = {
      {"sgd", Sgd{.lr = 0.1, .momentum = 0}},
      {"sgd_momentum", Sgd{.lr = 0.1, .momentum = 0.9, .weight_decay = 0.01}},
      {"sgd_nesterov", Sgd{.lr = 0.1, .momentum = 0.9, .weight_decay = 0.01, .nesterov = true}},
      {"adam", Adam{.lr = 0.01}},
      {"adam_decay", Adam{.lr = 0.01, .beta1 = 0.8, .beta2 = 0.9, .eps = 1e-3, .weight_decay = 0.1}}};
  for (const auto& [name, options] : cases) {
    std::vector<Parameter> parameters = {{"p", Role::Weight, Var(vector(4, 19), true)}};
    // After three steps a new optimiser takes over with the saved state: the same numbers must follow.
    auto optimiser = std::make_unique<Optimiser>(parameters, options);
    for (int64_t step = 0; step < 5; ++step) {
      if (step == 3) {
        const auto state = optimiser->state();
        optimiser = std::make_unique<Optimiser>(parameters, options);
        optimiser->load_state(state);
      }
      optimiser->clear_gradients();
      parameters[0].var.add_grad(vector(4, 20 + step));
      optimiser->step(learning_rate(options));
      expect_golden(fmt::format("{}_{}", name, step), parameters[0].var.value(), 1e-6);
    }
  }
}

TEST(OpsGolden, GradientClipping) {
  std::vector<Parameter> parameters = {{"p", Role::Weight, Var(vector(4, 19), true)}};
  parameters[0].var.add_grad(vector(4, 20));
  Optimiser optimiser(parameters, Sgd{});
  EXPECT_NEAR(optimiser.clip_gradients(1.5), golden("clip_norm")[0], 1e-5);
  expect_golden("clip_grad", parameters[0].var.grad());
  optimiser.clip_gradients(100);  // already below: unchanged
  expect_golden("clip_grad", parameters[0].var.grad());
}

TEST(OpsGolden, Schedules) {
  const auto expect_rates = [](const std::string& name, const Schedule& schedule) {
    const std::vector<double>& wanted = golden(name);
    const auto steps = static_cast<int64_t>(wanted.size());
    for (int64_t s = 0; s < steps; ++s)
      EXPECT_NEAR(learning_rate(schedule, 0.1, s, steps, 1), wanted[static_cast<size_t>(s)], 1e-11) << name << " " << s;
  };
  expect_rates("onecycle_20", parse_schedule("onecycle"));
  expect_rates("onecycle_7", parse_schedule("onecycle"));
  expect_rates("onecycle_3", parse_schedule("onecycle"));
  expect_rates("onecycle_2", parse_schedule("onecycle"));
  expect_rates("cosine_5", parse_schedule("cosine"));
  expect_rates("step_6", parse_schedule("step:2,4"));
}

}  // namespace
}  // namespace kronbit::nn
