// The networks as data: their layers, their logits against PyTorch's, one step through each.
#include "nn/models/models.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <numeric>
#include <sstream>

#include "nn/layers.h"
#include "nn/ops/softmax_cross_entropy.h"
#include "nn/state_dict.h"
#include "nn/summary.h"
#include "tensor/io/crc32.h"
#include "tests/nn/formula.h"
#include "tests/tensor/message_of.h"
#include "tests/tensor/temporary_folder.h"

namespace kronbit::nn {
namespace {

int64_t total_weights(const Network& net) {
  int64_t total = 0;
  for (const ConvInfo& layer : conv_layers(net)) total += layer.weights();
  return total;
}

TEST(Models, ConvolutionsAndTheirMegabytes) {
  struct Case {
    const char* name;
    size_t layers;
    double megabytes;  // 4 P / 10^6
  };
  for (const Case& c : {Case{"vgg11", 8, 36.87}, Case{"vgg16", 13, 58.84}, Case{"vgg19", 16, 80.08},
                        Case{"resnet18", 20, 44.64}, Case{"googlenet", 64, 24.53}, Case{"resnet20", 19, 1.07}}) {
    const Network net = build(c.name);
    EXPECT_EQ(conv_layers(net).size(), c.layers) << c.name;
    EXPECT_NEAR(4e-6 * static_cast<double>(total_weights(net)), c.megabytes, 0.005) << c.name;
  }
  EXPECT_EQ(conv_layers(build("vgg13")).size(), 10u);
  EXPECT_EQ(conv_layers(build("resnet34")).size(), 36u);
  EXPECT_EQ(conv_layers(build("resnet32")).size(), 31u);
  EXPECT_EQ(conv_layers(build("resnet44")).size(), 43u);
  EXPECT_EQ(conv_layers(build("resnet56")).size(), 55u);
  EXPECT_EQ(conv_layers(build("resnet18_imagenet")).size(), 20u);
  EXPECT_EQ(conv_layers(build("resnet34_imagenet")).size(), 36u);
  EXPECT_EQ(conv_layers(build("resnet50_imagenet")).size(), 53u);
  EXPECT_EQ(conv_layers(build("googlenet_imagenet")).size(), 57u);
}

TEST(Models, ParametersAsPublished) {
  // torchvision's documented parameter counts; conv biases, which we do not have, taken off VGG's.
  EXPECT_EQ(build("resnet18_imagenet").parameter_count(), 11'689'512);
  EXPECT_EQ(build("resnet34_imagenet").parameter_count(), 21'797'672);
  EXPECT_EQ(build("resnet50_imagenet").parameter_count(), 25'557'032);
  EXPECT_EQ(build("googlenet_imagenet").parameter_count(), 6'624'904);
  EXPECT_EQ(build("vgg16_imagenet").parameter_count(), 138'365'992 - 4'224);
  EXPECT_EQ(build("resnet20").parameter_count(), 269'722);  // akamaster
}

TEST(Models, LayersInOrderOfExecutionShortcutLast) {
  const std::vector<ConvInfo> layers = conv_layers(build("resnet18"));
  std::vector<std::string> names;
  for (const ConvInfo& layer : layers) names.push_back(layer.name);
  const std::vector<std::string> wanted{
      "conv1",          "layer1.0.conv1", "layer1.0.conv2",      "layer1.1.conv1", "layer1.1.conv2",
      "layer2.0.conv1", "layer2.0.conv2", "layer2.0.shortcut.0", "layer2.1.conv1", "layer2.1.conv2",
      "layer3.0.conv1", "layer3.0.conv2", "layer3.0.shortcut.0"};
  names.resize(wanted.size());
  EXPECT_EQ(names, wanted);

  const ConvInfo& shortcut = layers[7];
  EXPECT_EQ(shortcut.out_channels, 128);
  EXPECT_EQ(shortcut.in_channels, 64);
  EXPECT_EQ(shortcut.kernel_h, 1);
  EXPECT_EQ(shortcut.kernel_w, 1);
  EXPECT_EQ(shortcut.out_h, 16);
  EXPECT_EQ(shortcut.out_w, 16);
  EXPECT_EQ(shortcut.weights(), 128 * 64);
  EXPECT_EQ(shortcut.macs(), 128 * 64 * 16 * 16);
}

TEST(Models, ToyOfTenConvolutions) {
  const Network net = build("toy10");
  std::vector<std::string> layers;
  for (const ConvInfo& l : conv_layers(net)) {
    EXPECT_EQ(l.kernel_h, 3) << l.name;
    layers.push_back(fmt::format("{} {}x{} {}>{}", l.name, l.out_h, l.out_w, l.in_channels, l.out_channels));
  }
  EXPECT_EQ(layers,
            (std::vector<std::string>{"features.0 32x32 3>16", "features.3 32x32 16>16", "features.6 32x32 16>16",
                                      "features.10 16x16 16>32", "features.13 16x16 32>32", "features.16 16x16 32>32",
                                      "features.19 16x16 32>32", "features.23 8x8 32>64", "features.26 8x8 64>64",
                                      "features.29 8x8 64>64"}));
  EXPECT_EQ(total_weights(net), 9 * (3 * 16 + 2 * 16 * 16 + 16 * 32 + 3 * 32 * 32 + 32 * 64 + 2 * 64 * 64));
  const int64_t norms = 2 * (3 * 16 + 4 * 32 + 3 * 64), linear = 64 * 10 + 10;
  EXPECT_EQ(net.parameter_count(), total_weights(net) + norms + linear);
  EXPECT_EQ(net.nodes().back().shape, (Shape{1, 1, 1, 10}));
}

TEST(Models, SummaryCountsEverything) {
  const std::string text = summary(build("resnet20"));
  EXPECT_THAT(text, testing::HasSubstr("layer2.0.conv1"));
  EXPECT_THAT(text, testing::HasSubstr("16x16x32"));
  EXPECT_THAT(text, testing::HasSubstr("resnet20: 19 convolutions with 267696 weights (1.07 MB in FP32), 269722 "
                                       "parameters, 40551040 MACs\n"));
}

TEST(Models, UnknownNamesAreToldTheKnownOnes) {
  const std::string message = message_of([] { build("resnet21"); });
  EXPECT_THAT(message, testing::HasSubstr("vgg16, vgg19, resnet18"));
  EXPECT_THAT(message, testing::HasSubstr("got \"resnet21\" (did you mean resnet20?)"));
  EXPECT_THROW(build(""), InputError);
  EXPECT_THROW(build("vgg11", {.classes = -1}), InputError);
  EXPECT_THROW(build("vgg11", {.input_size = 16}), InputError);
}

TEST(Models, OtherClassesAndSizes) {
  const Network net = build("resnet18_imagenet", {.classes = 25, .input_size = 64});
  EXPECT_EQ(net.nodes().back().shape, (Shape{1, 1, 1, 25}));
  EXPECT_EQ(net.input_shape(), (Shape{64, 64, 1, 3}));
}

/// A PyTorch state dict of `net`'s network; `described` receives its "name shape" lines.
std::vector<std::byte> formula_state_dict(const Network& net, bool conv_bias, std::vector<std::string>& described) {
  SafetensorsWriter writer;
  const auto add = [&](const std::string& name, const Shape& shape, Role role) {
    writer.add(name, formula(name, shape, role));
    described.push_back(name + " " + shape.text() + "\n");
  };
  for (const Parameter& p : net.parameters()) {
    add(p.name, p.var.value().shape(), p.role);
    if (p.role == Role::Variance) {
      const int64_t batches = 1000;
      writer.add(p.name.substr(0, p.name.rfind('.')) + ".num_batches_tracked", StDType::I64, {},
                 std::as_bytes(std::span(&batches, 1)));
    }
  }
  if (conv_bias) {
    for (const ConvInfo& layer : conv_layers(net)) add(layer.name + ".bias", {layer.out_channels}, Role::Bias);
  }
  return writer.bytes();
}

struct Golden {
  std::string network, crc;
  int64_t size = 0, images = 0;
  int classes = 0, conv_bias = 0;
  std::vector<float> logits;
};

void PrintTo(const Golden& golden, std::ostream* out) { *out << golden.network; }

std::vector<Golden> golden_cases() {
  std::ifstream file(KRONBIT_SOURCE_DIR "/tests/nn/golden/models.txt");
  std::vector<Golden> cases;
  for (std::string line; std::getline(file, line);) {
    std::istringstream in(line);
    Golden g;
    in >> g.network >> g.size >> g.images >> g.classes >> g.conv_bias >> g.crc;
    for (float v = 0; in >> v;) g.logits.push_back(v);
    cases.push_back(g);
  }
  return cases;
}

class GoldenModels : public testing::TestWithParam<Golden> {};

TEST_P(GoldenModels, LogitsAsPyTorchs) {
  const Golden& golden = GetParam();
  Network net = build(golden.network, {.classes = golden.classes, .input_size = golden.size});
  std::vector<std::string> described;
  {
    const std::vector<std::byte> bytes = formula_state_dict(net, golden.conv_bias != 0, described);
    load_state_dict(net, SafetensorsFile::parse(bytes, "formula"));
  }
  std::sort(described.begin(), described.end());
  EXPECT_EQ(hex_of(crc32(std::accumulate(described.begin(), described.end(), std::string()))), golden.crc)
      << "names or shapes differ from PyTorch's";

  const std::vector<float> logits = net.forward(formula_images(golden.size, golden.images), {}).value().values();
  ASSERT_EQ(logits.size(), golden.logits.size());
  float largest = 0;
  for (const float v : golden.logits) largest = std::max(largest, std::abs(v));
  for (size_t i = 0; i < logits.size(); ++i) EXPECT_NEAR(logits[i], golden.logits[i], 1e-4 * largest) << i;
}

INSTANTIATE_TEST_SUITE_P(All, GoldenModels, testing::ValuesIn(golden_cases()),
                         [](const auto& instance) { return instance.param.network; });

TEST(GoldenModelsFile, HoldsEveryFamily) { EXPECT_EQ(golden_cases().size(), 9u); }

TEST(TrainedResNet20, LogitsAsPyTorchs) {
  const std::filesystem::path path = real_data("resnet20-cifar10.safetensors");
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there";
  Network net = build("resnet20");
  load_state_dict(net, path);

  std::ifstream file(KRONBIT_SOURCE_DIR "/tests/nn/golden/resnet20_cifar10.txt");
  int64_t images = 0;
  ASSERT_TRUE(file >> images);
  const std::vector<float> logits = net.forward(formula_images(32, images), {}).value().values();
  for (const float logit : logits) {
    float wanted = 0;
    ASSERT_TRUE(file >> wanted);
    EXPECT_NEAR(logit, wanted, 1e-4);
  }
}

class Models32 : public testing::TestWithParam<const char*> {};

TEST_P(Models32, OneStepDownTheGradientLowersTheLoss) {
  Network net = build(GetParam());
  net.initialize(1);
  const Tensor x = formula_images(32, 2);
  const std::vector<int> labels{3, 7};
  RunContext training;
  training.training = true;

  const Var loss = softmax_cross_entropy(net.forward(x, training), labels);
  backward(loss);
  double norm = 0;
  for (const Parameter& p : net.parameters()) {
    if (!p.var.requires_grad()) continue;
    ASSERT_TRUE(p.var.grad().defined()) << p.name;
    for (const float g : p.var.grad().values()) norm += double{g} * g;
  }
  ASSERT_TRUE(std::isfinite(norm));
  ASSERT_GT(norm, 0);
  // A step that promises to lower the loss by 1 %.
  const double before = loss.value().values()[0];
  const float step = static_cast<float>(0.01 * before / norm);
  for (Parameter& p : net.parameters()) {
    if (!p.var.requires_grad()) continue;
    float* value = p.var.value().data<float>();
    const std::vector<float> gradient = p.var.grad().values();
    for (size_t i = 0; i < gradient.size(); ++i) value[i] -= step * gradient[i];
  }
  const double after = softmax_cross_entropy(net.forward(x, training), labels).value().values()[0];
  EXPECT_LT(after, before);
  EXPECT_GT(after, 0.97 * before);
}

// Depths left out differ from these in the counts of ConvolutionsAndTheirMegabytes only.
INSTANTIATE_TEST_SUITE_P(All, Models32,
                         testing::Values("vgg11", "resnet18", "resnet20", "resnet56", "googlenet", "toy10"),
                         [](const auto& instance) { return std::string(instance.param); });

class Models224 : public testing::TestWithParam<const char*> {};

TEST_P(Models224, Classify) {
  Network net = build(GetParam());
  net.initialize(1);
  const std::vector<float> logits = net.forward(formula_images(224, 1), {}).value().values();
  ASSERT_EQ(logits.size(), 1000u);
  EXPECT_TRUE(std::all_of(logits.begin(), logits.end(), [](float v) { return std::isfinite(v); }));
  EXPECT_NE(*std::min_element(logits.begin(), logits.end()), *std::max_element(logits.begin(), logits.end()));
}

INSTANTIATE_TEST_SUITE_P(All, Models224, testing::Values("resnet50_imagenet", "googlenet_imagenet"),
                         [](const auto& instance) { return std::string(instance.param); });

}  // namespace
}  // namespace kronbit::nn
