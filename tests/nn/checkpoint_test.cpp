#include "nn/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nn/models/models.h"
#include "nn/state_dict.h"
#include "tensor/io/file.h"
#include "tests/nn/random_tensors.h"
#include "tests/tensor/message_of.h"
#include "tests/tensor/temporary_folder.h"

namespace kronbit::nn {
namespace {

class Checkpoints : public testing::Test {
 protected:
  const TemporaryFolder folder_;
  const std::filesystem::path path_ = folder_ / "checkpoint.safetensors";
};

TEST_F(Checkpoints, ComeBackBitForBit) {
  Network net = build("resnet20");
  net.initialize(5);
  const std::map<std::string, Tensor> state{{"momentum.conv1.weight", random_tensor({16, 3, 3, 3}, 1).to(DType::F32)},
                                            {"steps", random_tensor({1}, 2).to(DType::F32)}};
  const std::map<std::string, std::string> meta{{"epoch", "3"}, {"step", "1172"}, {"run", "sgd lr 0.1 \"x\"\n"}};
  save_checkpoint(path_, net, state, meta);

  Network loaded = build("resnet20");
  const Checkpoint checkpoint = load_checkpoint(path_, loaded);
  EXPECT_EQ(checkpoint.meta, meta);
  ASSERT_EQ(checkpoint.optimiser_state.size(), 2u);
  for (const auto& [name, tensor] : state) {
    EXPECT_EQ(checkpoint.optimiser_state.at(name).values(), tensor.values()) << name;
    EXPECT_EQ(checkpoint.optimiser_state.at(name).shape(), tensor.shape()) << name;
  }
  for (size_t i = 0; i < net.parameters().size(); ++i) {
    EXPECT_EQ(net.parameters()[i].var.value().values(), loaded.parameters()[i].var.value().values());
  }

  Network weights_only = build("resnet20");
  load_state_dict(weights_only, path_);
  EXPECT_EQ(weights_only.find_parameter("conv1.weight")->var.value().values(),
            net.find_parameter("conv1.weight")->var.value().values());
}

TEST_F(Checkpoints, OfAnotherNetworkAreRefused) {
  Network net = build("resnet20");
  save_checkpoint(path_, net, {}, {});
  Network other = build("resnet32");
  EXPECT_THROW(load_checkpoint(path_, other), InputError);
  Network more_classes = build("resnet20", {.classes = 11});
  EXPECT_THAT(message_of([&] { load_checkpoint(path_, more_classes); }),
              testing::HasSubstr("wanted a checkpoint of resnet20 with 11 classes, got \"resnet20\" with 10"));
}

TEST_F(Checkpoints, TornOnesAreRefusedAndFailedWritesThrow) {
  Network net = build("resnet20");
  net.initialize(1);
  save_checkpoint(path_, net, {}, {{"epoch", "1"}});
  const std::vector<std::byte> whole = read_file(path_, 1 << 24);
  std::vector<std::byte> half(whole.begin(), whole.begin() + static_cast<int64_t>(whole.size() / 2));
  const std::filesystem::path torn = folder_ / "torn.safetensors";
  publish(torn, half);
  Network loaded = build("resnet20");
  EXPECT_THROW(load_checkpoint(torn, loaded), InputError);
  EXPECT_EQ(loaded.find_parameter("conv1.weight")->var.value().values(), std::vector<float>(16 * 27, 0.0f));

  EXPECT_THROW(save_checkpoint(folder_ / "nowhere/checkpoint.safetensors", net, {}, {}), InputError);
  EXPECT_EQ(load_checkpoint(path_, loaded).meta.at("epoch"), "1");
}

}  // namespace
}  // namespace kronbit::nn
