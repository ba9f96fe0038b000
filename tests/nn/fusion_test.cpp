// The fused forward and backward pass against the operators one by one, in f32 and bf16, and what it needs in memory.
#include "nn/fusion.h"

#include <gtest/gtest.h>

#include <cmath>

#include "nn/models/builder.h"
#include "nn/models/models.h"
#include "nn/ops/conv2d_products.h"
#include "nn/ops/softmax_cross_entropy.h"
#include "tensor/memory.h"
#include "tests/nn/random_tensors.h"
#include "tests/tensor/distance.h"
#include "tests/tensor/keep_threads.h"

namespace kronbit::nn {
namespace {

/// A residual block that ends in a sum of two normalized convolutions, one whose shortcut is the block's input, a
/// convolution read twice, one without ReLU, and a ReLU that stands alone.
Network every_pattern() {
  Builder b("patterns", 12, 5);
  const int x = b.relu("relu1", b.batch_norm("bn1", b.conv("conv1", kInput, {.channels = 20})));
  const int left = b.batch_norm("bn2", b.conv("conv2", x, {.channels = 40, .stride = 2}));
  const int right = b.batch_norm("bn3", b.conv("conv3", x, {.channels = 40, .kernel = 1, .stride = 2, .pad = 0}));
  const int y = b.relu("relu2", b.add("add1", left, right));
  const int z = b.relu("relu3", b.add("add2", y, b.batch_norm("bn4", b.conv("conv4", y, {.channels = 40}))));
  const int twice = b.conv("conv5", z, {.channels = 16});
  const int plain = b.batch_norm("bn5", twice);
  const int sum = b.add("add3", plain, twice);
  const int last = b.batch_norm("bn6", b.conv("conv6", b.relu("relu4", sum), {.channels = 33}));
  b.linear("linear", b.global_avg_pool("pool", last), 5);
  Network net = b.take();
  net.initialize(3);
  return net;
}

Tensor random_images(const Network& net, int64_t images) {
  const Shape& shape = net.input_shape();
  return random_activation(shape[0], shape[1], images, shape[3], 7).to(DType::F32);
}

/// Everything a pass leaves behind: logits, then gradients and running statistics by name.
std::map<std::string, std::vector<float>> pass(const Network& original, const Tensor& x, const RunContext& context) {
  Network net = original.clone();
  std::vector<int> labels;
  for (int64_t n = 0; n < x.images(); ++n) labels.push_back(static_cast<int>(n % net.classes()));
  const Var logits = net.forward(x, context);
  std::map<std::string, std::vector<float>> left{{"logits", logits.value().values()}};
  if (context.training) backward(softmax_cross_entropy(logits, labels, 0));
  for (const Parameter& p : net.parameters()) {
    if (p.var.requires_grad() && context.training) left["gradient of " + p.name] = p.var.grad().values();
    if (!p.var.requires_grad()) left[p.name] = p.var.value().values();
  }
  return left;
}

std::vector<float> gradients(const std::map<std::string, std::vector<float>>& left) {
  std::vector<float> all;
  for (const auto& [name, values] : left)
    if (name.starts_with("gradient of ")) all.insert(all.end(), values.begin(), values.end());
  return all;
}

void expect_close(const std::map<std::string, std::vector<float>>& got,
                  const std::map<std::string, std::vector<float>>& want, double tolerance) {
  ASSERT_EQ(got.size(), want.size());
  for (const auto& [name, values] : want) {
    ASSERT_EQ(got.at(name).size(), values.size()) << name;
    EXPECT_LT(distance(got.at(name), values), tolerance) << name;
  }
}

TEST(Fusion, FindsTheGroups) {
  const Network net = every_pattern();
  std::vector<std::string> found;
  for (const Step& s : steps(net, true)) {
    const auto name = [&](int node) { return net.nodes()[static_cast<size_t>(node)].name; };
    found.push_back(s.conv < 0 ? name(s.node)
                               : name(s.conv) + "+" + name(s.norm) + (s.residual < 0 ? "" : "+" + name(s.residual)) +
                                     (s.relu ? "+relu" : "") + "=" + name(s.node));
  }
  EXPECT_EQ(found, (std::vector<std::string>{"conv1+bn1+relu=relu1", "conv3+bn3=bn3", "conv2+bn2+bn3+relu=relu2",
                                             "conv4+bn4+relu2+relu=relu3", "conv5", "bn5", "add3", "relu4",
                                             "conv6+bn6=bn6", "pool", "linear"}));
  EXPECT_EQ(steps(net, false).size(), net.nodes().size() - 1);
}

TEST(Fusion, EqualsTheOperatorsOneByOne) {
  std::vector<Network> nets{every_pattern(), build("resnet20"), build("googlenet", {.classes = 10, .input_size = 32})};
  for (Network& net : nets) {
    SCOPED_TRACE(net.name());
    net.initialize(3);
    const bool small = net.name() == "patterns";
    // Rounding that moves one number over the kink of a ReLU or a maximum is felt by every gradient below it.
    const double kinks = small ? 1e-4 : 5e-2;
    for (const int64_t images : small ? std::vector<int64_t>{6, 70} : std::vector<int64_t>{6}) {  // blocks hold 64
      SCOPED_TRACE(images);
      const Tensor x = random_images(net, images);
      expect_close(pass(net, x, {}), pass(net, x, {.fused = false}), 1e-5);
      expect_close(pass(net, x, {.training = true}), pass(net, x, {.training = true, .fused = false}), kinks);
    }
  }
}

TEST(Fusion, Bf16IsNearF32) {
  // Masks of ReLUs differ, and the gradients with them: by 0.08, 0.17 and 0.27.
  std::vector<std::pair<Network, double>> nets{
      {every_pattern(), 0.12}, {build("resnet20"), 0.25}, {build("vgg11"), 0.35}};
  for (auto& [net, tolerance] : nets) {
    SCOPED_TRACE(net.name());
    net.initialize(3);
    const Tensor x = random_images(net, 32);
    for (const bool fused : {true, false}) {
      const auto got = pass(net, x, {.training = true, .precision = DType::BF16, .fused = fused});
      const auto want = pass(net, x, {.training = true, .fused = fused});
      EXPECT_LT(distance(got.at("logits"), want.at("logits")), 0.03);
      EXPECT_LT(distance(gradients(got), gradients(want)), tolerance);
      const auto inferred = pass(net, x, {.precision = DType::BF16, .fused = fused});
      EXPECT_LT(distance(inferred.at("logits"), pass(net, x, {}).at("logits")), 0.03);
    }
  }
}

TEST(Fusion, SameBitsForAnyNumberOfThreads) {
  const Network net = every_pattern();
  const Tensor x = random_images(net, 70);
  const KeepThreads keep;
  for (const DType precision : {DType::F32, DType::BF16}) {
    set_threads(1);
    const auto one = pass(net, x, {.training = true, .precision = precision});
    set_threads(3);
    EXPECT_EQ(one, pass(net, x, {.training = true, .precision = precision}));
  }
}

TEST(Fusion, KeptWeightsGiveTheSameAnswer) {
  Network net = every_pattern();
  const Tensor x = random_images(net, 5);
  ConvWeightCache weights;  // of both precisions
  for (const DType precision : {DType::F32, DType::BF16, DType::F32, DType::BF16}) {
    const std::vector<float> want = net.forward(x, {.precision = precision}).value().values();
    EXPECT_EQ(net.forward(x, {.precision = precision, .weights = &weights}).value().values(), want);
  }
}

TEST(Fusion, ASteadyStepTakesNoNewMemory) {
  Network net = build("resnet20");
  net.initialize(1);
  const Tensor x = random_images(net, 16);
  const std::vector<int> labels(16, 3);
  const auto step = [&] {
    for (Parameter& p : net.parameters()) p.var.clear_grad();
    backward(softmax_cross_entropy(net.forward(x, {.training = true, .precision = DType::BF16}), labels, 0));
  };
  step();
  step();
  const size_t reserved = memory_use().reserved, in_use = memory_use().in_use;
  for (int repeat = 0; repeat < 3; ++repeat) step();
  EXPECT_EQ(memory_use().reserved, reserved);
  EXPECT_EQ(memory_use().in_use, in_use);
}

}  // namespace
}  // namespace kronbit::nn
