// Operators on bf16: they calculate as float and round once, so from the same numbers they must give the float results,
// rounded. And the fused normalization against the operators it stands for.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "nn/models/builder.h"
#include "nn/ops/add.h"
#include "nn/ops/avg_pool.h"
#include "nn/ops/batch_norm.h"
#include "nn/ops/channel_affine.h"
#include "nn/ops/concat.h"
#include "nn/ops/dropout.h"
#include "nn/ops/flatten.h"
#include "nn/ops/global_avg_pool.h"
#include "nn/ops/linear.h"
#include "nn/ops/max_pool.h"
#include "nn/ops/relu.h"
#include "nn/ops/shortcut_a.h"
#include "nn/ops/softmax_cross_entropy.h"
#include "nn/optim.h"
#include "tensor/rows/rows.h"
#include "tests/nn/gradcheck.h"
#include "tests/tensor/distance.h"
#include "tests/tensor/keep_threads.h"

namespace kronbit::nn {
namespace {

/// Normal numbers that bf16 holds exactly, as float.
Tensor numbers(int64_t h, int64_t w, int64_t n, int64_t c, uint64_t seed) {
  return random_activation(h, w, n, c, seed).to(DType::BF16).to(DType::F32);
}
Tensor parameter(int64_t count, uint64_t seed) { return random_tensor({count}, seed).to(DType::F32); }

struct Bf16Case {
  std::string name;
  std::vector<Tensor> inputs;  ///< float; those of four extents are activations
  std::function<Var(std::vector<Var>&)> run;
};

std::vector<Bf16Case> operators(int64_t h, int64_t w, int64_t n, int64_t c) {
  const Tensor x = numbers(h, w, n, c, 1), other = numbers(h, w, n, c, 2);
  const auto norm = [c](bool training) {
    return [c, training](std::vector<Var>& v) {
      Var mean(parameter(c, 5)), variance(Tensor::zeros({c}));
      for (int64_t i = 0; i < c; ++i) variance.value().data<float>()[i] = 0.5f + static_cast<float>(i % 3);
      return batch_norm(v[0], v[1], v[2], mean, variance, training);
    };
  };
  const auto pool = [&](const char* name, PoolOptions o, auto op) {
    return Bf16Case{name + describe_pool(o), {x}, [o, op](std::vector<Var>& v) { return op(v[0], o); }};
  };
  std::vector<Bf16Case> all = {{"relu", {x}, [](std::vector<Var>& v) { return relu(v[0]); }},
                               {"add", {x, other}, [](std::vector<Var>& v) { return add(v[0], v[1]); }},
                               {"flatten", {x}, [](std::vector<Var>& v) { return flatten(v[0]); }},
                               {"global_avg_pool", {x}, [](std::vector<Var>& v) { return global_avg_pool(v[0]); }},
                               {"shortcut_a", {x}, [c](std::vector<Var>& v) { return shortcut_a(v[0], c + 6, 2); }},
                               {"concat", {x, other}, [](std::vector<Var>& v) { return concat(v); }},
                               {"dropout",
                                {x},
                                [](std::vector<Var>& v) {
                                  return dropout(v[0], 0.3, {1, 2, 3});
                                }},
                               {"channel_affine",
                                {x, parameter(c, 3), parameter(c, 4)},
                                [](std::vector<Var>& v) { return channel_affine(v[0], v[1], v[2]); }},
                               {"batch_norm in training", {x, parameter(c, 3), parameter(c, 4)}, norm(true)},
                               {"batch_norm", {x, parameter(c, 3), parameter(c, 4)}, norm(false)},
                               {"linear",
                                {numbers(1, 1, n, c, 1), random_tensor({7, c}, 2).to(DType::F32), parameter(7, 3)},
                                [](std::vector<Var>& v) { return linear(v[0], v[1], v[2]); }},
                               pool("max_pool ", {.kernel = 1, .stride = 1}, max_pool),
                               pool("avg_pool ", {.kernel = 1, .stride = 1}, avg_pool)};
  if (h > 2 && w > 2) {
    for (const PoolOptions& o :
         {PoolOptions{.kernel = 2, .stride = 2}, PoolOptions{.kernel = 2, .stride = 3},
          PoolOptions{.kernel = 3, .stride = 1, .pad = 1}, PoolOptions{.kernel = 3, .stride = 2, .ceil_mode = true}}) {
      all.push_back(pool("max_pool ", o, max_pool));
      all.push_back(pool("avg_pool ", o, avg_pool));
    }
  }
  return all;
}

/// Result and gradients, with activations stored as `type`.
std::vector<Tensor> results(const Bf16Case& test, DType type) {
  std::vector<Var> inputs;
  for (const Tensor& t : test.inputs) inputs.emplace_back(t.shape().rank() == 4 ? t.to(type) : t, true);
  const Var y = test.run(inputs);
  std::vector<Tensor> all = {y.value()};
  const Shape& s = y.value().shape();
  backward(y, numbers(s[0], s[1], s[2], s[3], 9).to(y.value().dtype()));
  for (const Var& v : inputs) {
    EXPECT_EQ(v.grad().dtype(), v.value().dtype()) << test.name;
    all.push_back(v.grad());
  }
  return all;
}

TEST(Bf16, OperatorsGiveTheFloatResultsRounded) {
  struct Map {
    int64_t h, w, n, c;
  };
  for (const Map& m : {Map{1, 1, 3, 5}, Map{4, 6, 2, 16}, Map{5, 3, 3, 33}, Map{6, 4, 9, 160}}) {
    for (const Bf16Case& test : operators(m.h, m.w, m.n, m.c)) {
      const std::vector<Tensor> wide = results(test, DType::F32), narrow = results(test, DType::BF16);
      for (size_t i = 0; i < wide.size(); ++i) {
        ASSERT_EQ(wide[i].to(narrow[i].dtype()).values(), narrow[i].values())
            << test.name << " of [" << m.h << ", " << m.w << ", " << m.n << ", " << m.c << "], "
            << (i == 0 ? "result" : "a gradient");
        double padding = 0;
        const Tensor stored = narrow[i].to(DType::F32);
        for (int64_t r = 0; r < stored.rows(); ++r)
          for (int64_t c = stored.cols(); c < stored.pitch(); ++c)
            padding += std::abs(static_cast<double>(stored.row<float>(r)[c]));
        ASSERT_EQ(padding, 0) << test.name;
      }
    }
  }
}

/// A network that ends with a mean over convolved pixels, not with a linear layer.
TEST(Bf16, LogitsAndTheirGradientsAreFloatWhateverIsLast) {
  Builder b("convolutions", 8, 10);
  const int x = b.relu("relu", b.batch_norm("bn", b.conv("conv1", kInput, {.channels = 16})));
  b.global_avg_pool("mean", b.conv("conv2", x, {.channels = 10}));
  Network net = b.take();
  net.initialize(1);
  const Tensor images = numbers(8, 8, 4, 3, 2);
  std::vector<std::vector<float>> logits, gradients;
  for (const DType precision : {DType::F32, DType::BF16}) {
    for (Parameter& p : net.parameters()) p.var.clear_grad();
    const Var y = net.forward(images, {.training = true, .precision = precision});
    ASSERT_EQ(y.value().dtype(), DType::F32);
    backward(softmax_cross_entropy(y, {0, 3, 6, 9}, 0));
    logits.push_back(y.value().values());
    gradients.push_back(net.find_parameter("conv2.weight")->var.grad().values());
  }
  EXPECT_LT(distance(logits[1], logits[0]), 0.02);
  EXPECT_LT(distance(gradients[1], gradients[0]), 0.02);
}

TEST(Normalize, IsNormalizationSumAndReluAtOnce) {
  for (DType type : {DType::F32, DType::BF16}) {
    const int64_t c = 33;
    const Tensor y = numbers(4, 3, 5, c, 1), r = numbers(4, 3, 5, c, 2), dz = numbers(4, 3, 5, c, 3);
    Var vy(y, true), vr(r, true), w(parameter(c, 4), true), b(parameter(c, 5), true);
    Var mean(Tensor::zeros({c})), variance(Tensor::zeros({c}));
    const Var vz = relu(add(batch_norm(vy, w, b, mean, variance, true), vr));
    backward(vz, dz);

    const Tensor ty = y.to(type), tr = r.to(type);
    const ChannelMoments moments = channel_moments(ty);
    const Tensor z = normalize(ty, norm_coefficients(moments, w.value(), b.value(), 1e-5), &tr, true);
    const NormGradients g = normalize_backward(dz.to(type), ty, &z, w.value(), moments, 1e-5, true, true);
    EXPECT_EQ(z.values(), vz.value().to(type).values());
    EXPECT_EQ(g.dy.values(), vy.grad().to(type).values());
    EXPECT_EQ(g.residual.values(), vr.grad().to(type).values());
    EXPECT_EQ(g.dweight.values(), w.grad().values());
    EXPECT_EQ(g.dbias.values(), b.grad().values());
  }
}

TEST(ChannelMoments, KeepTheirDigitsForAnyMeanThreadsAndPartialSums) {
  Tensor x = numbers(8, 8, 64, 40, 1);
  for (int64_t r = 0; r < x.rows(); ++r)
    for (int64_t c = 0; c < x.cols(); ++c) x.row<float>(r)[c] += 5000;  // what float still holds: 1/2048
  const ChannelMoments m = channel_moments(x), exact = channel_moments(x.to(DType::F64));
  std::vector<float> centre(64, 0.0f);
  std::fill_n(centre.begin(), x.cols(), 4999.0f);
  std::vector<double> sum(64, 0.0), squares(64, 0.0);
  for (int64_t r = 0; r < x.rows(); r += 12) {  // as a convolution gathers them: few rows and half the lanes at a time
    for (int64_t lane : {0, 32}) {
      row_kernels<float>().add_moments({std::min<int64_t>(12, x.rows() - r), 32, x.pitch()}, x.row<float>(r) + lane,
                                       centre.data() + lane, sum.data() + lane, squares.data() + lane);
    }
  }
  const ChannelMoments gathered = moments_from_sums(sum, squares, centre, x.cols(), x.rows());
  ASSERT_EQ(gathered.mean.size(), size_t{40});
  for (size_t c = 0; c < 40; ++c) {
    EXPECT_NEAR(m.mean[c], exact.mean[c], 1e-6);
    EXPECT_NEAR(m.variance[c], exact.variance[c], 1e-5);
    EXPECT_NEAR(gathered.mean[c], exact.mean[c], 1e-6);
    EXPECT_NEAR(gathered.variance[c], exact.variance[c], 1e-5);
  }
  const KeepThreads keep;
  set_threads(threads() == 1 ? 2 : 1);
  EXPECT_EQ(channel_moments(x).variance, m.variance);
}

TEST(SharedGradients, GrowWithoutChangingEachOther) {
  const Tensor x = numbers(2, 2, 3, 5, 1), dy = numbers(2, 2, 3, 5, 2);
  Var a(x, true), b(x, true);
  const Var sum = add(a, b);
  const Var more = add(sum, a);  // a gets dy twice, b once, and all three are one tensor at first
  backward(more, dy);
  EXPECT_EQ(b.grad().values(), dy.values());
  std::vector<float> twice = dy.values();
  for (float& v : twice) v *= 2;
  EXPECT_EQ(a.grad().values(), twice);
}

TEST(SharedGradients, AreClippedOnce) {
  Var a(Tensor::from({1}, {1}), true), b(Tensor::from({1}, {1}), true);
  const Tensor g = Tensor::from({1}, {3});
  a.add_grad(g);
  b.add_grad(g);
  Optimiser optimiser({{"a", Role::Weight, a}, {"b", Role::Weight, b}}, Sgd{});
  const double norm = optimiser.clip_gradients(1);
  EXPECT_NEAR(norm, 3 * std::sqrt(2.0), 1e-6);
  EXPECT_NEAR(a.grad().values()[0], 1 / std::sqrt(2.0), 1e-6);
  EXPECT_NEAR(b.grad().values()[0], 1 / std::sqrt(2.0), 1e-6);
}

}  // namespace
}  // namespace kronbit::nn
