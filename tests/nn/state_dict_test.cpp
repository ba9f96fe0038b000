// Weights in and out: names, biases, everything that can be wrong with a file.
#include "nn/state_dict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <numeric>

#include "nn/models/builder.h"
#include "nn/models/models.h"
#include "nn/ops/flatten.h"
#include "nn/ops/linear.h"
#include "nn/state_dict_names.h"
#include "tests/tensor/message_of.h"
#include "tests/tensor/temporary_folder.h"

namespace kronbit::nn {
namespace {

using testing::HasSubstr;
using Tensors = std::map<std::string, Tensor>;

/// A network whose parameters hold different numbers, all from 1 to 2; other ones for every seed.
Network numbered_network(const std::string& name, int64_t seed, const ModelOptions& options = {}) {
  Network net = build(name, options);
  for (Parameter& p : net.parameters()) {
    float* v = p.var.value().data<float>();
    for (int64_t i = 0; i < p.var.value().count(); ++i) v[i] = 1 + static_cast<float>((i + seed) % 997) / 997;
    seed += 31;
  }
  return net;
}

Tensors tensors_of(const Network& net) {
  Tensors tensors;
  for (const Parameter& p : net.parameters()) tensors[p.name] = p.var.value().clone();
  return tensors;
}

std::vector<std::byte> file_of(const Tensors& tensors, const std::map<std::string, std::string>& metadata = {}) {
  SafetensorsWriter writer;
  for (const auto& [name, tensor] : tensors) writer.add(name, tensor);
  for (const auto& [key, value] : metadata) writer.set_metadata(key, value);
  return writer.bytes();
}

void load(Network& net, const Tensors& tensors, const std::map<std::string, std::string>& metadata = {}) {
  const std::vector<std::byte> bytes = file_of(tensors, metadata);
  load_state_dict(net, SafetensorsFile::parse(bytes, "file"));
}

std::string error_of(Network& net, const Tensors& tensors, const std::map<std::string, std::string>& metadata = {}) {
  return message_of([&] { load(net, tensors, metadata); });
}

void expect_same(const Network& a, const Network& b) {
  ASSERT_EQ(a.parameters().size(), b.parameters().size());
  for (size_t i = 0; i < a.parameters().size(); ++i) {
    EXPECT_EQ(a.parameters()[i].var.value().values(), b.parameters()[i].var.value().values()) << a.parameters()[i].name;
  }
}

/// The tensors of `net` under the names `rename` gives them.
Tensors renamed(const Network& net, const std::function<std::string(std::string)>& rename) {
  Tensors tensors;
  for (const auto& [name, tensor] : tensors_of(net)) tensors[rename(name)] = tensor;
  return tensors;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

TEST(StateDict, SavedAndLoadedBitForBit) {
  const TemporaryFolder folder;
  const std::filesystem::path file = folder / "weights.safetensors";
  const Network net = numbered_network("resnet20", 1, {.classes = 7, .input_size = 64});
  save_state_dict(net, file, {{"normalization", "0.5,0.5,0.5/0.2,0.2,0.2"}});
  Network loaded = build("resnet20", {.classes = 7, .input_size = 64});
  load_state_dict(loaded, file);
  expect_same(net, loaded);

  const WeightsInfo info = weights_info(SafetensorsFile::open(file));
  EXPECT_EQ(info.network, "resnet20");
  EXPECT_EQ(info.classes, 7);
  EXPECT_EQ(info.input_size, 64);
  EXPECT_EQ(info.normalization, "0.5,0.5,0.5/0.2,0.2,0.2");
}

TEST(StateDict, FilesOfOthersSayNothing) {
  const std::vector<std::byte> bytes = file_of({});
  const WeightsInfo info = weights_info(SafetensorsFile::parse(bytes, "file"));
  EXPECT_EQ(info.network, "");
  EXPECT_EQ(info.classes, 0);
  EXPECT_EQ(info.normalization, "");
  // The same keys, meant in another way.
  for (const std::map<std::string, std::string>& theirs :
       {std::map<std::string, std::string>{{"classes", "airplane,car"}},
        {{"network", "ResNet20 v1"}, {"classes", "10"}, {"normalization", "none"}},
        {{"network", "resnet20"}, {"classes", "airplane,car"}, {"class_names", "airplane"}}}) {
    const std::vector<std::byte> other = file_of({}, theirs);
    const WeightsInfo nothing = weights_info(SafetensorsFile::parse(other, "file"));
    EXPECT_EQ(nothing.network + nothing.normalization, "");
    EXPECT_EQ(nothing.classes, 0);
    EXPECT_TRUE(nothing.class_names.empty());
  }
}

TEST(StateDict, OwnFilesAreHeldToWhatTheySay) {
  for (const auto& [key, value] :
       {std::pair{"classes", "ten"}, {"classes", "0"}, {"input_size", "x"}, {"input_size", "5000"}}) {
    const std::vector<std::byte> wrong = file_of({}, {{"kronbit.weights", "1"}, {"network", "resnet20"}, {key, value}});
    EXPECT_THROW(weights_info(SafetensorsFile::parse(wrong, "file")), InputError) << key << value;
  }
  // Without the mark, as long as they name a network and a number of classes.
  const std::vector<std::byte> older = file_of({}, {{"network", "resnet20"}, {"classes", "12"}});
  EXPECT_EQ(weights_info(SafetensorsFile::parse(older, "file")).classes, 12);
}

TEST(StateDict, ClassesAreTheRowsOfTheHead) {
  Tensors tensors = renamed(numbered_network("resnet20", 1, {.classes = 7}), [](const std::string& name) {
    return replaced("module." + name, "module.linear.", "module.fc.");
  });
  Network net = build("resnet20");
  const std::vector<std::byte> bytes = file_of(tensors);
  EXPECT_EQ(classes_of(SafetensorsFile::parse(bytes, "file"), net), 7);
  EXPECT_EQ(error_of(net, tensors),
            "[file] wanted the weights of resnet20 with 10 classes, the file has 7 (--classes 7)");
  const std::vector<std::byte> none = file_of({});
  EXPECT_EQ(classes_of(SafetensorsFile::parse(none, "file"), net), 0);
}

TEST(StateDict, NamesTheNetworkFor224x224) {
  const Network large = numbered_network("resnet18_imagenet", 1, {.classes = 10});
  Network small = build("resnet18");
  EXPECT_THAT(error_of(small, tensors_of(large)), testing::EndsWith("; try --net resnet18_imagenet"));
}

TEST(StateDict, OwnNamesAreCanonicalForEveryNetwork) {
  for (const std::string& name : model_names()) {
    const Network net = build(name);
    for (const Parameter& p : net.parameters()) {
      ASSERT_EQ(canonical_name(name, p.name), p.name) << name;
      ASSERT_FALSE(is_ignored(p.name)) << name << " " << p.name;
    }
  }
}

TEST(StateDict, NamesOfOtherPrograms) {
  const struct {
    const char *network, *theirs, *ours;
  } rows[] = {
      {"resnet20", "module.layer1.0.conv1.weight", "layer1.0.conv1.weight"},
      {"resnet20", "state_dict.module.linear.bias", "linear.bias"},
      {"resnet20", "_orig_mod.model.fc.weight", "linear.weight"},
      {"resnet18", "layer2.0.downsample.0.weight", "layer2.0.shortcut.0.weight"},
      {"resnet18", "layer2.0.downsample.1.running_var", "layer2.0.shortcut.1.running_var"},
      {"resnet18", "fc.weight", "linear.weight"},
      {"resnet18_imagenet", "layer2.0.shortcut.1.bias", "layer2.0.downsample.1.bias"},
      {"resnet18_imagenet", "linear.weight", "fc.weight"},
      {"resnet50_imagenet", "resnet.embedder.embedder.convolution.weight", "conv1.weight"},
      {"resnet50_imagenet", "resnet.embedder.embedder.normalization.running_mean", "bn1.running_mean"},
      {"resnet50_imagenet", "resnet.encoder.stages.0.layers.2.layer.0.convolution.weight", "layer1.2.conv1.weight"},
      {"resnet50_imagenet", "resnet.encoder.stages.1.layers.0.layer.1.normalization.bias", "layer2.0.bn2.bias"},
      {"resnet50_imagenet", "encoder.stages.3.layers.1.layer.2.convolution.weight", "layer4.1.conv3.weight"},
      {"resnet50_imagenet", "resnet.encoder.stages.2.layers.0.shortcut.convolution.weight",
       "layer3.0.downsample.0.weight"},
      {"resnet50_imagenet", "resnet.encoder.stages.2.layers.0.shortcut.normalization.weight",
       "layer3.0.downsample.1.weight"},
      {"resnet50_imagenet", "classifier.1.bias", "fc.bias"},
      {"vgg16", "linear.weight", "classifier.weight"},
      {"vgg16", "head.fc.weight", "classifier.weight"},
      {"vgg16_imagenet", "pre_logits.fc1.weight", "classifier.0.weight"},
      {"vgg16_imagenet", "pre_logits.fc2.bias", "classifier.3.bias"},
      {"vgg16_imagenet", "head.fc.bias", "classifier.6.bias"},
      {"googlenet", "fc.bias", "linear.bias"},
      {"googlenet_imagenet", "inception3a.branch2.1.conv.weight", "inception3a.branch2.1.conv.weight"},
      {"resnet20", "something.else", "something.else"},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(canonical_name(row.network, row.theirs), row.ours) << row.network;
    // Every name we claim to reach is a parameter.
    if (std::string(row.ours) != "something.else") {
      EXPECT_NE(build(row.network).find_parameter(row.ours), nullptr) << row.network << " " << row.ours;
    }
  }
}

TEST(StateDict, TorchvisionNamesLoadIntoTheCifarNetwork) {
  const Network net = numbered_network("resnet18", 2);
  Network loaded = build("resnet18");
  load(loaded, renamed(net, [](std::string name) {
         return "module." + replaced(replaced(name, "shortcut", "downsample"), "linear.", "fc.");
       }));
  expect_same(net, loaded);
}

TEST(StateDict, LinearLayersThatComeAsConvolutions) {
  Network net("vgg16_imagenet", 2, 4, 3, 5);  // only the layer in question
  net.add("classifier.0", std::make_shared<Linear>(24, 5), {net.add("flatten", std::make_shared<Flatten>(), {0})});
  std::vector<float> weight(120);
  std::iota(weight.begin(), weight.end(), 1.0f);
  const Tensor bias = Tensor::from({5}, {1, 2, 3, 4, 5});
  load(net, {{"pre_logits.fc1.weight", Tensor::from({5, 3, 2, 4}, weight)}, {"pre_logits.fc1.bias", bias}});
  EXPECT_EQ(net.find_parameter("classifier.0.weight")->var.value().values(), weight);
  EXPECT_THAT(
      error_of(net, {{"pre_logits.fc1.weight", Tensor::from({6, 5, 2, 2}, weight)}, {"pre_logits.fc1.bias", bias}}),
      HasSubstr("with 5 classes, the file has 6"));
}

TEST(StateDict, IgnoresWhatSaysNothing) {
  const Network net = numbered_network("googlenet_imagenet", 4, {.classes = 3});
  Tensors tensors = tensors_of(net);
  tensors["conv1.bn.num_batches_tracked"] = Tensor::zeros({1});
  tensors["aux1.conv.conv.weight"] = Tensor::zeros({2, 2, 1, 1});
  tensors["aux2.fc2.bias"] = Tensor::zeros({2});
  Network loaded = build("googlenet_imagenet", {.classes = 3});
  load(loaded, tensors);
  expect_same(net, loaded);
}

TEST(StateDict, BiasOfAConvolutionGoesIntoTheRunningMean) {
  const Network net = numbered_network("vgg11", 5);
  Tensors tensors = tensors_of(net);
  tensors["features.4.bias"] = Tensor::from({128}, std::vector<float>(128, 0.25f));
  Network loaded = build("vgg11");
  load(loaded, tensors);
  const std::vector<float> before = net.find_parameter("features.5.running_mean")->var.value().values();
  const std::vector<float> after = loaded.find_parameter("features.5.running_mean")->var.value().values();
  for (size_t i = 0; i < before.size(); ++i) EXPECT_EQ(after[i], before[i] - 0.25f);
  EXPECT_EQ(loaded.find_parameter("features.1.running_mean")->var.value().values(),
            net.find_parameter("features.1.running_mean")->var.value().values());
}

TEST(StateDict, BiasThatOthersReadTooIsSurplus) {
  Builder b("shared", 8, 3);
  const int conv = b.conv("conv", kInput, {.channels = 4});
  const int sum = b.add("add", b.batch_norm("bn1", conv), conv);
  b.linear("linear", b.global_avg_pool("pool", b.batch_norm("bn2", sum)), 3);
  Network net = b.take();
  for (const char* bias : {"conv.bias", "add.bias"}) {  // the convolution has two readers; a sum is none
    Tensors tensors = tensors_of(net);
    tensors[bias] = Tensor::zeros({4});
    EXPECT_THAT(error_of(net, tensors), HasSubstr(fmt::format("1 surplus ({})", bias)));
  }
}

TEST(StateDict, ListsEverythingThatIsWrongInOneLine) {
  const Network net = numbered_network("resnet20", 6);
  Tensors tensors = tensors_of(net);
  tensors.erase("conv1.weight");
  tensors.erase("layer3.2.bn2.bias");
  tensors["extra.weight"] = Tensor::zeros({1});
  tensors["layer1.0.conv1.bias"] = Tensor::zeros({15});
  tensors["linear.weight"] = Tensor::zeros({100, 64});
  Network loaded = numbered_network("resnet20", 7);
  const Network before = loaded.clone();
  const std::string error = error_of(loaded, tensors, {{"network", "resnet32"}, {"classes", "10"}});
  EXPECT_EQ(error,
            "[file] wanted the weights of resnet20 with 10 classes, got a file with 2 missing (conv1.weight, "
            "layer3.2.bn2.bias), 1 surplus (extra.weight), 2 misshaped (linear.weight: wanted [10, 64], got [100, 64], "
            "layer1.0.conv1.bias: wanted [16], got [15]); the file says its network is \"resnet32\"");
  expect_same(before, loaded);
}

TEST(StateDict, LongListsAreShortenedButCounted) {
  Network net = build("resnet20");
  const std::string error = error_of(net, {});
  const std::string count = fmt::format("{} missing (conv1.weight, ", net.parameters().size());
  EXPECT_THAT(error, HasSubstr(count));
  EXPECT_THAT(error, HasSubstr(", ...)"));
  EXPECT_LT(error.size(), 300u);
}

TEST(StateDict, OneTensorUnderTwoNames) {
  const Network net = numbered_network("resnet18", 8);
  Tensors tensors = tensors_of(net);
  tensors["module.conv1.weight"] = Tensor::zeros({64, 3, 3, 3});
  Network loaded = build("resnet18");
  EXPECT_THAT(error_of(loaded, tensors), HasSubstr("are both conv1.weight of resnet18"));
}

TEST(StateDict, RefusesNumbersThatCannotBe) {
  const Network net = numbered_network("resnet20", 9);
  Network loaded = numbered_network("resnet20", 10);
  const Network before = loaded.clone();
  Tensors tensors = tensors_of(net);
  tensors["layer2.0.bn1.running_var"].data<float>()[3] = -0.5f;
  EXPECT_EQ(error_of(loaded, tensors), "[file] layer2.0.bn1.running_var[3]: wanted a variance, got -0.5");
  tensors = tensors_of(net);
  tensors["linear.weight"].data<float>()[5] = std::numeric_limits<float>::quiet_NaN();
  const std::string error = error_of(loaded, tensors);
  EXPECT_THAT(error, HasSubstr("linear.weight"));
  EXPECT_THAT(error, HasSubstr("5"));
  expect_same(before, loaded);
}

}  // namespace
}  // namespace kronbit::nn
