// Every operator against central differences, degenerate sizes included; and the harness against wrong operators.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "nn/ops/add.h"
#include "nn/ops/avg_pool.h"
#include "nn/ops/batch_norm.h"
#include "nn/ops/channel_affine.h"
#include "nn/ops/concat.h"
#include "nn/ops/conv2d.h"
#include "nn/ops/dropout.h"
#include "nn/ops/flatten.h"
#include "nn/ops/global_avg_pool.h"
#include "nn/ops/linear.h"
#include "nn/ops/max_pool.h"
#include "nn/ops/relu.h"
#include "nn/ops/shortcut_a.h"
#include "nn/ops/softmax_cross_entropy.h"
#include "tensor/parallel.h"
#include "tests/nn/gradcheck.h"

namespace kronbit::nn {
namespace {

using Inputs = std::vector<Var>;

/// Extents of a map: height, width, images, channels.
struct Map {
  int64_t h, w, n, c;
  Tensor normal(uint64_t seed) const { return random_activation(h, w, n, c, seed); }
  std::string text() const { return fmt::format("{}x{}x{}x{}", h, w, n, c); }
};

const std::vector<Map> kMaps = {{1, 1, 1, 1}, {1, 1, 2, 31}, {3, 2, 2, 33}, {4, 4, 3, 2}, {5, 7, 1, 32}};

void add_elementwise_cases(std::vector<GradCase>& cases) {
  for (const Map& m : kMaps) {
    cases.push_back({"relu " + m.text(), {m.normal(1)}, [](Inputs& v) { return relu(v[0]); }});
    cases.push_back({"add " + m.text(), {m.normal(1), m.normal(2)}, [](Inputs& v) { return add(v[0], v[1]); }});
    cases.push_back({"flatten " + m.text(), {m.normal(1)}, [](Inputs& v) { return flatten(v[0]); }});
    cases.push_back({"global_avg_pool " + m.text(), {m.normal(1)}, [](Inputs& v) { return global_avg_pool(v[0]); }});
    cases.push_back({"dropout " + m.text(), {m.normal(1)}, [](Inputs& v) {
                       return dropout(v[0], 0.3, {.seed = 5, .step = 6, .salt = 7});
                     }});
    cases.push_back({"channel_affine " + m.text(),
                     {m.normal(1), random_tensor({m.c}, 2), random_tensor({m.c}, 3)},
                     [](Inputs& v) { return channel_affine(v[0], v[1], v[2]); }});
    for (int64_t stride : {1, 2, 7}) {
      cases.push_back({fmt::format("shortcut_a stride {} {}", stride, m.text()), {m.normal(1)}, [stride](Inputs& v) {
                         return shortcut_a(v[0], v[0].value().channels() + 6, stride);
                       }});
    }
  }
  cases.push_back({"add x x", {kMaps[2].normal(1)}, [](Inputs& v) { return add(v[0], v[0]); }});
  cases.push_back(
      {"concat 31 33 1",
       {random_activation(2, 3, 2, 31, 1), random_activation(2, 3, 2, 33, 2), random_activation(2, 3, 2, 1, 3)},
       [](Inputs& v) { return concat(v); }});
  cases.push_back({"concat of one", {random_activation(1, 1, 1, 5, 1)}, [](Inputs& v) { return concat(v); }});
}

void add_batch_norm_cases(std::vector<GradCase>& cases) {
  for (bool training : {false, true}) {
    for (const Map& m : kMaps) {
      if (training && m.h * m.w * m.n < 3) continue;  // with two values the output is +-1 whatever they are
      cases.push_back({fmt::format("batch_norm {} {}", training ? "train" : "eval", m.text()),
                       {m.normal(1), random_tensor({m.c}, 2), random_tensor({m.c}, 3)},
                       [training, m](Inputs& v) {
                         Var mean(random_tensor({m.c}, 4)), variance(Tensor::zeros({m.c}, DType::F64));
                         for (int64_t c = 0; c < m.c; ++c) variance.value().data<double>()[c] = 0.5 + 0.1 * double(c);
                         return batch_norm(v[0], v[1], v[2], mean, variance, training);
                       }});
    }
  }
}

void add_pool_cases(std::vector<GradCase>& cases) {
  const std::vector<PoolOptions> options = {
      {.kernel = 1, .stride = 1},
      {.kernel = 2, .stride = 2},
      {.kernel = 3, .stride = 2, .pad = 1},
      {.kernel = 3, .stride = 2, .pad = 1, .count_include_pad = false},
      {.kernel = 3, .stride = 2, .pad = 1, .ceil_mode = true},
      {.kernel = 3, .stride = 2, .ceil_mode = true},
      {.kernel = 3, .stride = 1, .pad = 1, .ceil_mode = true, .count_include_pad = false},
      {.kernel = 2, .stride = 9},
  };
  for (const PoolOptions& o : options) {
    for (const Map& m : {Map{2, 3, 2, 33}, Map{4, 4, 1, 1}, Map{6, 5, 2, 3}, Map{1, 1, 3, 2}}) {
      if (std::min(m.h, m.w) + 2 * o.pad < o.kernel) continue;
      const std::string text = describe_pool(o) + (o.count_include_pad ? " " : " exclude ") + m.text();
      cases.push_back({"max_pool " + text, {m.normal(1)}, [o](Inputs& v) { return max_pool(v[0], o); }});
      cases.push_back({"avg_pool " + text, {m.normal(1)}, [o](Inputs& v) { return avg_pool(v[0], o); }});
    }
  }
}

void add_matrix_cases(std::vector<GradCase>& cases) {
  struct Conv {
    Map map;
    int64_t out, kernel, stride, pad;
  };
  const std::vector<Conv> convs = {
      {{1, 1, 1, 1}, 1, 1, 1, 0}, {{4, 5, 2, 3}, 33, 3, 1, 1}, {{5, 5, 1, 31}, 2, 3, 2, 1}, {{4, 4, 3, 33}, 5, 1, 2, 0},
      {{8, 7, 2, 3}, 4, 7, 2, 3}, {{2, 2, 2, 2}, 3, 3, 5, 1},  {{1, 1, 2, 2}, 2, 3, 1, 1}};
  for (const Conv& c : convs) {
    cases.push_back({fmt::format("conv2d {} to {} {}x{} stride {} pad {}", c.map.text(), c.out, c.kernel, c.kernel,
                                 c.stride, c.pad),
                     {c.map.normal(1), random_tensor({c.out, c.map.c, c.kernel, c.kernel}, 2)},
                     [c](Inputs& v) {
                       return conv2d(v[0], v[1],
                                     {.in_channels = c.map.c,
                                      .out_channels = c.out,
                                      .kernel_h = c.kernel,
                                      .kernel_w = c.kernel,
                                      .stride = c.stride,
                                      .pad = c.pad});
                     }});
  }
  for (const Map& m : {Map{1, 1, 1, 1}, Map{1, 1, 3, 33}, Map{1, 1, 2, 31}}) {
    for (int64_t out : {1, 10, 33}) {
      cases.push_back({fmt::format("linear {} to {}", m.text(), out),
                       {m.normal(1), random_tensor({out, m.c}, 2), random_tensor({out}, 3)},
                       [](Inputs& v) { return linear(v[0], v[1], v[2]); }});
    }
  }
}

void add_loss_and_graph_cases(std::vector<GradCase>& cases) {
  for (double smoothing : {0.0, 0.1}) {
    for (int64_t classes : {1, 10, 33}) {
      for (int64_t images : {1, 37}) {
        std::vector<int> labels;
        for (int64_t n = 0; n < images; ++n) labels.push_back(static_cast<int>(n * 7 % classes));
        cases.push_back(
            {fmt::format("softmax_cross_entropy {} classes {} images smoothing {}", classes, images, smoothing),
             {random_activation(1, 1, images, classes, 1)},
             [labels, smoothing](Inputs& v) { return softmax_cross_entropy(v[0], labels, smoothing); }});
      }
    }
  }
  // One value feeds two operators, whose results meet again: gradients must be added up before they travel on.
  cases.push_back({"residual block",
                   {random_activation(3, 3, 2, 5, 1), random_tensor({5}, 2), random_tensor({5}, 3)},
                   [](Inputs& v) {
                     const Var r = relu(v[0]);
                     return add(channel_affine(r, v[1], v[2]), r);
                   }});
  cases.push_back({"two uses and a concatenation", {random_activation(4, 4, 2, 3, 1)}, [](Inputs& v) {
                     const Var p = max_pool(v[0], {.kernel = 3, .stride = 1, .pad = 1});
                     const std::vector<Var> parts = {p, v[0], add(p, v[0])};
                     return global_avg_pool(concat(parts));
                   }});
}

std::vector<GradCase> all_cases() {
  std::vector<GradCase> cases;
  add_elementwise_cases(cases);
  add_batch_norm_cases(cases);
  add_pool_cases(cases);
  add_matrix_cases(cases);
  add_loss_and_graph_cases(cases);
  return cases;
}

TEST(Gradients, MatchCentralDifferences) {
  for (const GradCase& c : all_cases()) EXPECT_EQ(gradient_error(c), "");
}

// Large enough for several chunks per parallel loop: a sum in thread order would show.
TEST(Gradients, DoNotDependOnTheThreads) {
  const Map m{16, 16, 8, 33};
  const std::vector<GradCase> cases = {
      {"batch_norm",
       {m.normal(1), random_tensor({m.c}, 2), random_tensor({m.c}, 3)},
       [&](Inputs& v) {
         Var mean(random_tensor({m.c}, 4)), variance(random_tensor({m.c}, 5));
         return batch_norm(v[0], v[1], v[2], mean, variance, true);
       }},
      {"channel_affine",
       {m.normal(1), random_tensor({m.c}, 2), random_tensor({m.c}, 3)},
       [](Inputs& v) { return channel_affine(v[0], v[1], v[2]); }},
      {"max_pool",
       {random_activation(9, 9, 40, 33, 1)},
       [](Inputs& v) { return max_pool(v[0], {.kernel = 3, .stride = 2, .pad = 1}); }},
      {"avg_pool",
       {random_activation(9, 9, 40, 33, 1)},
       [](Inputs& v) { return avg_pool(v[0], {.kernel = 3, .stride = 2, .pad = 1}); }},
      {"global_avg_pool", {random_activation(4, 4, 40, 33, 1)}, [](Inputs& v) { return global_avg_pool(v[0]); }},
      {"dropout", {m.normal(1)}, [](Inputs& v) { return dropout(v[0], 0.5, {}); }},
      {"softmax_cross_entropy",
       {random_activation(1, 1, 100, 10, 1)},
       [](Inputs& v) { return softmax_cross_entropy(v[0], std::vector<int>(100, 3)); }},
  };
  for (const GradCase& c : cases) EXPECT_EQ(gradient_error(c, 3), "");
}

// Wrong operators, one mistake each: the harness must name every one.
Var square(const Var& x, double factor, int64_t wrong_lane) {
  Tensor y = Tensor::zeros_like(x.value());
  for (int64_t i = 0; i < y.stored(); ++i) y.data<double>()[i] = std::pow(x.value().data<double>()[i], 2);
  return record(y, {x}, [x, factor, wrong_lane](const Tensor& dy) {
    Tensor dx = Tensor::zeros_like(dy);
    for (int64_t i = 0; i < dx.stored(); ++i)
      dx.data<double>()[i] = factor * x.value().data<double>()[i] * dy.data<double>()[i];
    if (wrong_lane >= 0) dx.data<double>()[wrong_lane] += 1e-4;
    x.add_grad(dx);
  });
}

TEST(GradCheck, CatchesWrongGradients) {
  const auto error = [](double factor, int64_t wrong_lane) {
    return gradient_error(
        {"square", {random_activation(2, 1, 2, 3, 1)}, [=](Inputs& v) { return square(v[0], factor, wrong_lane); }});
  };
  EXPECT_EQ(error(2, -1), "");
  EXPECT_NE(error(2.001, -1), "");
  EXPECT_NE(error(-2, -1), "");
  EXPECT_NE(error(NAN, -1), "");
  EXPECT_NE(error(2, 2 * pitch_of(3) + 1), "");  // the second number of the third row
  EXPECT_THAT(error(2, 5), testing::HasSubstr("non-zero padding"));
}

TEST(GradCheck, CatchesDirtyPaddingLostGradientsAndThreads) {
  const Tensor x = random_activation(2, 1, 2, 3, 1);
  EXPECT_THAT(gradient_error({"dirty",
                              {x},
                              [](Inputs& v) {
                                Tensor y = v[0].value().clone();
                                y.data<double>()[3] = 1;
                                return record(y, {v[0]}, [x = v[0]](const Tensor& dy) { x.add_grad(dy.clone()); });
                              }}),
              testing::HasSubstr("the output has non-zero padding"));
  EXPECT_THAT(
      gradient_error({"lost", {x}, [](Inputs& v) { return record(v[0].value(), {v[0]}, [](const Tensor&) {}); }}),
      testing::HasSubstr("no gradient"));
  EXPECT_THAT(gradient_error({"threads",
                              {x},
                              [](Inputs& v) {
                                Tensor y = v[0].value().clone();
                                y.data<double>()[0] *= 1 + 1e-12 * threads();
                                return record(y, {v[0]}, [x = v[0]](const Tensor& dy) { x.add_grad(dy.clone()); });
                              }}),
              testing::HasSubstr("depends on the threads"));
}

}  // namespace
}  // namespace kronbit::nn
