// Bits put on a network: which inputs are quantized and how, what the operator computes, and its straight-through
// gradients.
#include "quant/assign.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "nn/models/models.h"
#include "nn/ops/relu.h"
#include "quant/ds_conv2d.h"
#include "tests/nn/random_tensors.h"
#include "tests/tensor/message_of.h"

namespace kronbit::quant {
namespace {

Tensor random_images(int64_t h, int64_t w, int64_t n, int64_t c, uint64_t seed) {
  return nn::random_activation(h, w, n, c, seed).to(DType::F32);
}

const DsConvOptions& options_of(const nn::Network& net, int node) {
  const auto* op = dynamic_cast<const DsConv2d*>(net.nodes()[static_cast<size_t>(node)].op.get());
  KB_CHECK(op != nullptr);
  return op->quantization();
}

TEST(AssignBits, DecidesInputsFromTheGraph) {
  // image -> a -> b (signed) -> relu -> c (unsigned)
  nn::Network net("chain", 6, 6, 3, 4);
  const auto conv = [](int64_t in, int64_t out) {
    return std::make_shared<nn::Conv2d>(
        nn::Conv2dOptions{.in_channels = in, .out_channels = out, .kernel_h = 3, .kernel_w = 3, .stride = 1, .pad = 1});
  };
  const int a = net.add("a", conv(3, 8), {0});
  const int b = net.add("b", conv(8, 8), {a});
  const int c = net.add("c", conv(8, 4), {net.add("relu", std::make_shared<nn::Relu>(), {b})});
  assign_bits(net, Bits{1, 2, 3}, {.block = 16});
  EXPECT_FALSE(options_of(net, a).quantize_input);
  EXPECT_TRUE(options_of(net, b).quantize_input);
  EXPECT_TRUE(options_of(net, b).signed_input);
  EXPECT_TRUE(options_of(net, c).quantize_input);
  EXPECT_FALSE(options_of(net, c).signed_input);
  EXPECT_EQ(current_bits(net), (Bits{1, 2, 3}));
  EXPECT_EQ(assignment_of(net)->options.block, 16);

  assign_bits(net, Bits{8, 7, 6}, {.activations = false});  // again, with others
  EXPECT_EQ(current_bits(net), (Bits{8, 7, 6}));
  EXPECT_FALSE(options_of(net, c).quantize_input);
  EXPECT_FALSE(assignment_of(net)->options.activations);
  remove_bits(net);
  EXPECT_FALSE(assignment_of(net).has_value());
  EXPECT_TRUE(current_bits(net).empty());
  EXPECT_EQ(net.nodes()[static_cast<size_t>(b)].op->kind(), "conv2d");
}

TEST(AssignBits, ResNetInputsAreUnsignedAndTheImageIsNot) {
  nn::Network net = nn::build("resnet20");
  assign_bits(net, Bits(19, 4));
  const std::vector<int> layers = net.convolutions();
  for (size_t l = 0; l < layers.size(); ++l) {
    EXPECT_EQ(options_of(net, layers[l]).quantize_input, l > 0);
    EXPECT_EQ(options_of(net, layers[l]).signed_input, l == 0) << l;  // the image can be negative
  }
}

TEST(AssignBits, RefusesAndLeavesTheNetworkAsItWas) {
  nn::Network net = nn::build("resnet20");
  EXPECT_THAT(message_of([&] {
                assign_bits(net, Bits{6, 6, 6});
              }),
              testing::AllOf(testing::HasSubstr("19"), testing::HasSubstr("3")));
  EXPECT_THROW(assign_bits(net, Bits(19, 0)), InputError);
  EXPECT_THROW(assign_bits(net, Bits(19, 2), {.mode = Mode::Binary}), InputError);
  EXPECT_THROW(assign_bits(net, Bits(19, 2), {.block = 0}), InputError);
  EXPECT_TRUE(current_bits(net).empty());
}

TEST(DsConv2d, IsTheConvolutionOfTheQuantizedOperands) {
  const nn::Conv2dOptions conv{
      .in_channels = 40, .out_channels = 9, .kernel_h = 3, .kernel_w = 3, .stride = 2, .pad = 1};
  const DsConvOptions options{.bits = 3, .signed_input = true};
  const Tensor x = random_images(5, 4, 3, 40, 1), w = nn::random_tensor({9, 40, 3, 3}, 2).to(DType::F32);
  const Tensor xq = quantize_activations(x, options.input_format());
  const Tensor wq = fake_quantize_weights(w, 3, options.mode, kBlock);
  const nn::Var vx(x, true), vw(w, true);
  const nn::Var y = nn::convolve(std::make_shared<DsConv2d>(conv, options), vx, vw);
  EXPECT_EQ(y.value().values(), nn::conv2d_forward(xq, wq, conv).values());

  const Tensor dy = random_images(y.value().height(), y.value().width(), 3, 9, 3);
  nn::backward(y, dy.clone());
  // Straight through: the gradients of the plain convolution at the quantized operands; none where x saturated.
  EXPECT_EQ(vw.grad().values(), nn::conv2d_backward_weights(dy, xq, conv).values());
  const std::vector<float> plain = nn::conv2d_backward_data(dy, wq, x.shape(), conv).values();
  const std::vector<float> dx = vx.grad().values(), from = x.values(), to = xq.values();
  int saturated = 0;
  for (size_t i = 0; i < dx.size(); ++i) {
    const bool cut = dx[i] == 0 && plain[i] != 0;
    saturated += cut;
    if (cut) {
      ASSERT_GT(from[i], to[i]);  // only the positive end saturates
    } else {
      ASSERT_EQ(dx[i], plain[i]);
    }
  }
  EXPECT_GT(saturated, 0);
}

TEST(DsConv2d, ModelsRunWithFiniteLogitsAtOneBit) {
  for (const char* name : {"resnet20", "googlenet"}) {
    nn::Network net = nn::build(name);
    net.initialize(5);
    const Tensor x = random_images(32, 32, 1, 3, 6);
    for (int bits : {1, 8}) {
      assign_bits(net, Bits(net.convolutions().size(), bits));
      for (float v : net.forward(x, {}).value().values()) ASSERT_TRUE(std::isfinite(v)) << name << " " << bits;
    }
  }
}

TEST(DsConv2d, TrainingMovesTheShadowWeightsOfEveryLayer) {
  nn::Network net = nn::build("resnet20");
  net.initialize(7);
  assign_bits(net, Bits(19, 2));
  nn::RunContext training;
  training.training = true;
  const nn::Var logits = net.forward(random_images(32, 32, 4, 3, 8), training);
  Tensor dy = Tensor::zeros_like(logits.value());
  for (int64_t n = 0; n < 4; ++n) dy.row<float>(n)[n] = 1;
  nn::backward(logits, dy);
  for (int layer : net.convolutions()) {
    const nn::Node& node = net.nodes()[static_cast<size_t>(layer)];
    const Tensor& grad = net.parameters()[static_cast<size_t>(node.parameters[0])].var.grad();
    ASSERT_TRUE(grad.defined()) << node.name;
    float largest = 0;
    for (float g : grad.values()) {
      ASSERT_TRUE(std::isfinite(g)) << node.name;
      largest = std::max(largest, std::fabs(g));
    }
    EXPECT_GT(largest, 0) << node.name;
  }
}

}  // namespace
}  // namespace kronbit::quant
