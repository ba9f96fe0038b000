// A packed network on a GPU (simulated, and a real one where there is one) gives the bits of the processor's exact
// engine; with kernels that round, numbers near them.
#include "quant/engine/device/device_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "quant/engine/device/device_choice.h"
#include "quant/engine/device/device_plan.h"
#include "quant/kernels/cuda/device_product.h"
#include "tests/quant/untrained_networks.h"
#include "tests/tensor/devices.h"

namespace kronbit::quant {
namespace {

using ::testing::HasSubstr;

template <class AnyEngine>
std::vector<float> logits_of(AnyEngine& engine, const Tensor& x) {
  std::vector<float> logits(static_cast<size_t>(x.images() * engine.classes()));
  engine.run(x, logits);
  return logits;
}

struct Case {
  std::string net, bits;
  int64_t size, images;
};

class DeviceEngineOf : public testing::TestWithParam<Case> {};

TEST_P(DeviceEngineOf, HasTheBitsOfTheProcessor) {
  const auto& [net, bits, size, count] = GetParam();
  const PackedNetwork network = packed(net, bits, {}, MultiplierFormat::Auto, size);
  const Tensor x = images(count, size);
  Engine processor(network, {.exact = true});
  const std::vector<float> expected = logits_of(processor, x);
  for (const std::unique_ptr<Device>& device : devices()) {
    DeviceEngine engine(network, *device, {.exact = true});
    EXPECT_TRUE(same_bits(logits_of(engine, x), expected)) << device->properties().name;
    EXPECT_TRUE(same_bits(logits_of(engine, x), expected)) << device->properties().name << ", again";
    EXPECT_TRUE(engine.exact());
    EXPECT_GT(engine.memory_bytes(), network.conv_bytes());
    EXPECT_EQ(engine.choices(1).size(), network.bits().size());
  }
}

INSTANTIATE_TEST_SUITE_P(Networks, DeviceEngineOf,
                         testing::Values(Case{"resnet20", "666 5555 44444 33333 22", 32, 1},
                                         Case{"vgg11", "8 7 6 5 4 3 2 1", 32, 1}, Case{"toy10", "1", 32, 3},
                                         Case{"googlenet_imagenet", "7", 32, 1}, Case{"vgg16_imagenet", "6", 32, 1},
                                         Case{"resnet50_imagenet", "5", 32, 1}),
                         [](const auto& given) { return given.param.net + "_" + std::to_string(given.index); });

TEST(DeviceEngine, RunsEveryKernelThatIsForced) {
  const PackedNetwork network = packed("toy10", "2");
  const Tensor x = images(2);
  Engine processor(network, {.exact = true});
  const std::vector<float> expected = logits_of(processor, x);
  for (const std::unique_ptr<Device>& device : devices()) {
    const auto kernels = device_kernels(*device).products;
    EXPECT_GE(kernels.size(), 4u);
    for (const DeviceKernel* kernel : kernels) {
      DeviceEngine engine(network, *device, {.kernel = std::string(kernel->name)});
      const std::vector<LayerChoice>& choices = engine.choices(2);
      EXPECT_TRUE(std::ranges::any_of(choices, [&](const auto& c) { return c.kernel == kernel->name; }))
          << kernel->name << " was forced and runs nothing";
      if (kernel->exact) {
        EXPECT_TRUE(same_bits(logits_of(engine, x), expected)) << kernel->name;
      } else {  // flips of single steps travel far in an untrained network
        EXPECT_LT(distance(logits_of(engine, x), expected), 0.5) << kernel->name;
        EXPECT_FALSE(engine.exact());
      }
    }
  }
}

TEST(DeviceEngine, KernelsThatCannotWinAreNotTimed) {
  const std::unique_ptr<Device> device = open_simulated_device();
  const auto families = [&](bool exact, int bits) {
    const DeviceConv site{
        .layer = {.outputs = 32, .channels = 32, .taps = 1, .bits = bits, .activations = {bits, false, kBlock}},
        .conv = {.in_channels = 32, .out_channels = 32, .kernel_h = 1, .kernel_w = 1},
        .height = 4,
        .width = 4,
        .images = 1};
    std::vector<std::string_view> names;
    for (const DeviceKernel* kernel : DeviceChooser(*device, {.exact = exact}).candidates(site))
      names.push_back(kernel->family);
    return names;
  };
  using testing::UnorderedElementsAre;
  EXPECT_THAT(families(false, 8), UnorderedElementsAre("bf16", "int8", "packed"));
  EXPECT_THAT(families(false, 1), UnorderedElementsAre("bf16", "int8", "packed", "bitserial"));
  EXPECT_THAT(families(true, 8), UnorderedElementsAre("int8", "packed"));
}

TEST(DeviceEngine, GroupsOfAnySizeGiveTheSameBits) {
  const PackedNetwork network = packed("toy10", "3");
  const Tensor x = images(3);
  const std::unique_ptr<Device> device = open_simulated_device();
  DeviceEngine engine(network, *device, {.exact = true});
  const std::vector<float> expected = logits_of(engine, x);
  for (int64_t n : {0, 2}) {
    Tensor one = Tensor::activation(32, 32, 1, 3);
    for (int64_t p = 0; p < 1024; ++p) std::copy_n(x.row<float>(p * 3 + n), 3, one.row<float>(p));
    const std::vector<float> single = logits_of(engine, one);
    EXPECT_TRUE(std::equal(single.begin(), single.end(), expected.begin() + n * 10)) << n;
  }
}

TEST(DeviceEngine, WeightsAreThereOnceForAllPlans) {
  const PackedNetwork network = packed("resnet20", "4");
  const std::unique_ptr<Device> device = open_simulated_device();
  DeviceEngine engine(network, *device, {.exact = true});
  std::vector<int64_t> bytes;
  for (int64_t images : {1, 2, 4}) {
    engine.choices(images);
    bytes.push_back(engine.memory_bytes());
  }
  EXPECT_GT(bytes[0], network.conv_bytes());
  // Buffers are proportional to images, up to their alignment: what is left are weights.
  EXPECT_NEAR(static_cast<double>(bytes[2] - bytes[1]), 2.0 * static_cast<double>(bytes[1] - bytes[0]),
              0.1 * static_cast<double>(network.conv_bytes()));
}

TEST(DeviceEngine, ReportsThePlanThatRan) {
  const PackedNetwork network = packed("toy10", "3");
  const std::unique_ptr<Device> device = open_simulated_device();
  DeviceEngine engine(network, *device);
  logits_of(engine, images(3));
  engine.choices(1);
  ASSERT_EQ(engine.plans_that_ran().size(), 1u) << "a plan that nothing ran";
  EXPECT_EQ(engine.plans_that_ran()[0].images, 4);
  const int64_t bytes = engine.memory_bytes();
  EXPECT_EQ(&engine.choices(3), &engine.choices(4));
  EXPECT_EQ(engine.memory_bytes(), bytes) << "a plan that nothing runs";
}

TEST(DeviceEngine, NanInAnImageReachesTheLogits) {
  const PackedNetwork network = packed("toy10", "3");
  Tensor x = images(1);
  for (int64_t p = 0; p < x.rows(); ++p) x.row<float>(p)[1] = NAN;
  Engine processor(network, {.exact = true});
  EXPECT_THAT(logits_of(processor, x), testing::Each(testing::IsNan()));
  for (const std::unique_ptr<Device>& device : devices()) {
    DeviceEngine engine(network, *device, {.exact = true});
    EXPECT_THAT(logits_of(engine, x), testing::Each(testing::IsNan())) << device->properties().name;
  }
}

TEST(DeviceEngine, RefusesWhatDoesNotFit) {
  const std::unique_ptr<Device> device = open_simulated_device();
  const PackedNetwork network = packed("toy10", "4");
  EXPECT_THROW(DeviceEngine(network, *device, {.kernel = "abacus"}), InputError);
  for (const DeviceKernel* kernel : device_kernels(*device).products) {
    if (kernel->exact) continue;  // those run
    const DeviceEngineOptions forced{.exact = true, .kernel = std::string(kernel->name)};
    EXPECT_THROW(DeviceEngine(network, *device, forced), InputError) << kernel->name;
  }
  AssignOptions half;
  half.block = 16;
  const PackedNetwork blocks = packed("toy10", "4", half);
  EXPECT_THROW(DeviceEngine(blocks, *device), InputError);
  EXPECT_THROW(DevicePlan::check(nn::build("toy10")), InputError) << "operators that are not packed";
  DeviceEngine engine(network, *device);
  std::vector<float> logits(10);
  EXPECT_THROW(engine.run(images(2), logits), InputError);
  EXPECT_THROW(engine.run(images(1, 33), logits), InputError);
  engine.run(images(0), std::span<float>{});
}

}  // namespace
}  // namespace kronbit::quant
