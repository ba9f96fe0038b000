// Training on a device (the simulated GPU, and a real one where there is one) against training on this processor in
// bf16: both round the same numbers to bf16 and differ in the order of their sums only.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "nn/cuda/device_network.h"
#include "nn/models/builder.h"
#include "nn/train.h"
#include "tests/nn/random_images.h"
#include "tests/nn/random_tensors.h"
#include "tests/tensor/devices.h"
#include "tests/tensor/distance.h"
#include "tests/tensor/message_of.h"
#include "tests/tensor/temporary_folder.h"

namespace kronbit::nn {
namespace {

using ::testing::HasSubstr;

/// A residual block that halves the map, a fork into a convolution and a pool, a concatenation.
Network branches() {
  Builder b("branches", 12, 10);
  const int x = b.relu("relu1", b.batch_norm("bn1", b.conv("conv1", kInput, {.channels = 16})));
  const int y = b.batch_norm("bn2", b.conv("conv2", x, {.channels = 32, .stride = 2}));
  const int z = b.relu("relu2", b.add("add", y, b.shortcut_a("shortcut", x, 32, 2)));
  const int u = b.relu("relu3", b.batch_norm("bn3", b.conv("conv3", z, {.channels = 24, .kernel = 1, .pad = 0})));
  const int v = b.max_pool("pool", z, {.kernel = 3, .stride = 1, .pad = 1});
  const int w = b.relu("relu4", b.batch_norm("bn4", b.concat("concat", {u, v})));
  b.linear("linear", b.global_avg_pool("mean", w), 10);
  return b.take();
}

/// A residual block with a convolution in its shortcut, pooling, flattening.
Network flat() {
  Builder b("flat", 10, 10);
  const int x = b.relu("relu1", b.batch_norm("bn1", b.conv("conv1", kInput, {.channels = 20, .kernel = 5, .pad = 2})));
  const int y = b.batch_norm("bn2", b.conv("conv2", x, {.channels = 40, .stride = 2}));
  const int s = b.batch_norm("bn3", b.conv("conv3", x, {.channels = 40, .kernel = 1, .stride = 2, .pad = 0}));
  const int z = b.max_pool("pool", b.relu("relu2", b.add("add", y, s)), {});
  b.linear("linear", b.flatten("flatten", z), 10);
  return b.take();
}

Network initialized(Network net) {
  net.initialize(4);
  return net;
}

TrainOptions options_on(Device* device) {
  TrainOptions o;
  o.epochs = 1;
  o.batch = 12;
  o.optimiser = Sgd{.lr = 0.05, .weight_decay = 1e-3};
  o.label_smoothing = 0.1;
  o.clip_gradients = 1.5;
  o.precision = DType::BF16;
  o.device = device;
  return o;
}

TEST(DeviceTraining, GoesTheWayOfTheProcessor) {
  for (const auto& make : {branches, flat}) {
    const Network start = initialized(make());
    const data::Dataset images = random_images(36, 10, start.input_shape()[0]);
    Network wanted = start.clone();
    Trainer processor(wanted, images, data::kCifar10, options_on(nullptr));
    std::vector<double> losses;
    while (!processor.done()) losses.push_back(processor.advance().loss);
    for (const auto& device : devices()) {
      Network net = start.clone();
      Trainer trainer(net, images, data::kCifar10, options_on(device.get()));
      for (const double loss : losses) EXPECT_NEAR(trainer.advance().loss, loss, 0.005 * loss) << start.name();
      EXPECT_EQ(parameters_of(net), parameters_of(start)) << "the network changes when it is fetched";
      trainer.fetch();
      EXPECT_LT(distance(parameters_of(net), parameters_of(wanted), parameters_of(start)), 0.03) << start.name();
      // And inference, with the running statistics that it has gathered.
      const Shape& shape = start.input_shape();
      const Tensor x = random_activation(shape[0], shape[1], 3, 3, 1).to(DType::F32);
      const std::vector<float> there = trainer.classify(x).values(), here = processor.classify(x).values();
      for (size_t i = 0; i < here.size(); ++i) EXPECT_NEAR(there[i], here[i], 0.01) << start.name();
    }
  }
}

TEST(DeviceTraining, HasTheSameBitsEveryTimeAndWhenResumed) {
  const TemporaryFolder folder;
  const std::filesystem::path file = folder / "checkpoint.safetensors";
  const Network start = initialized(branches());
  const data::Dataset images = random_images(36, 10, 12);
  for (const auto& device : devices()) {
    Network unbroken = start.clone(), broken = start.clone(), resumed = start.clone();
    Trainer run(unbroken, images, data::kCifar10, options_on(device.get()));
    while (!run.done()) run.advance();
    run.fetch();
    Trainer first(broken, images, data::kCifar10, options_on(device.get()));
    first.advance();
    first.save(file);
    Trainer second(resumed, images, data::kCifar10, options_on(device.get()));
    second.restore(file);
    EXPECT_EQ(second.step(), 1);
    while (!second.done()) second.advance();
    second.fetch();
    EXPECT_EQ(parameters_of(resumed), parameters_of(unbroken));
    Network elsewhere = start.clone();
    Trainer processor(elsewhere, images, data::kCifar10, options_on(nullptr));
    EXPECT_THROW(processor.restore(file), InputError) << "a run does not change its device";
  }
}

/// The same images as a source that the device cannot keep.
class Elsewhere final : public data::ImageSource {
 public:
  explicit Elsewhere(const data::MemorySource& source) : source_(source) {
    height = source.height;
    width = source.width;
    class_names = source.class_names;
    labels = source.labels;
  }
  void read(int64_t index, uint8_t* rgb) const override { source_.read(index, rgb); }
  void read_augmented(int64_t index, Rng& rng, uint8_t* rgb) const override { source_.read_augmented(index, rng, rgb); }
  uint32_t checksum() const override { return source_.checksum(); }

 private:
  data::MemorySource source_;
};

TEST(DeviceTraining, ImagesOnTheDeviceAreThoseOfTheLoader) {
  const data::Dataset here = random_images(36, 10, 10);
  const data::Dataset elsewhere(std::make_shared<Elsewhere>(dynamic_cast<const data::MemorySource&>(here.source())),
                                here.chosen());
  for (const auto& device : devices()) {
    std::vector<std::vector<float>> ends;
    for (const data::Dataset& images : {here, elsewhere}) {
      Network net = initialized(flat());
      Trainer trainer(net, images, data::kCifar10, options_on(device.get()));
      while (!trainer.done()) trainer.advance();
      trainer.fetch();
      ends.push_back(parameters_of(net));
    }
    EXPECT_EQ(ends[0], ends[1]);
  }
}

TEST(DeviceTraining, SaysWhereNumbersOverflow) {
  const std::unique_ptr<Device> device = open_simulated_device();
  Network net = initialized(flat());
  for (Parameter& p : net.parameters())
    if (p.name == "conv2.weight") p.var.value().data<float>()[3] = std::numeric_limits<float>::infinity();
  Trainer trainer(net, random_images(36, 10, 10), data::kCifar10, options_on(device.get()));
  EXPECT_THAT(message_of<NumericalError>([&] { trainer.advance(); }), HasSubstr("step 0: conv2.weight is not finite"));
}

TEST(DeviceTraining, RefusesWhatItDoesNotDo) {
  const std::unique_ptr<Device> device = open_simulated_device();
  Network net = initialized(flat());
  const data::Dataset images = random_images(36, 10, 10);
  const auto refused = [&](const std::function<void(TrainOptions&)>& change) {
    TrainOptions options = options_on(device.get());
    change(options);
    EXPECT_THROW(Trainer(net, images, data::kCifar10, options), InputError);
  };
  refused([](TrainOptions& o) { o.optimiser = Adam{}; });
  refused([](TrainOptions& o) { o.precision = DType::F32; });
  Builder b("dropout", 10, 10);
  b.linear("linear", b.dropout("dropout", b.global_avg_pool("mean", b.conv("conv", kInput, {.channels = 16})), 0.5),
           10);
  Network dropout = initialized(b.take());
  EXPECT_THROW(Trainer(dropout, images, data::kCifar10, options_on(device.get())), InputError);
  // Without training it does nothing, there as here.
  Tensor x = Tensor::activation(10, 10, 2, 3);
  for (int64_t r = 0; r < x.rows(); ++r) x.row<float>(r)[r % 3] = static_cast<float>(r % 7) - 3;
  DeviceNetwork there(dropout, *device);
  const std::vector<float> got = there.forward(x).values(),
                           wanted = dropout.forward(x, {.precision = DType::BF16}).value().values();
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], wanted[i], 0.02);
}

TEST(DeviceTraining, EvaluationsRunThere) {
  const data::Dataset images = random_images(20, 10, 10);
  Network net = initialized(flat());
  const auto loss_on = [&](Device* device) {
    return evaluate(net, images, data::kCifar10, 8, {}, nullptr, DType::F32, device).loss;
  };
  for (const auto& device : devices()) {
    DeviceNetwork there(net, *device);
    EXPECT_EQ(loss_on(device.get()),
              evaluate([&](const Tensor& x) { return there.forward(x); }, images, data::kCifar10, 8).loss);
    EXPECT_NE(loss_on(device.get()), loss_on(nullptr)) << "bf16 there, float here";
  }
}

TEST(DeviceTraining, RefusesImagesOfAnotherSizeAsTheProcessorDoes) {
  const std::unique_ptr<Device> device = open_simulated_device();
  Network net = initialized(branches());
  DeviceNetwork there(net, *device, OptimiserOptions(Sgd{}));
  for (const Tensor& x : {Tensor::activation(10, 12, 2, 3), Tensor::activation(12, 12, 2, 4), Tensor::zeros({12, 3})}) {
    const std::string here = message_of<InputError>([&] { net.forward(x, {}); });
    EXPECT_THAT(here, HasSubstr("[branches] input: wanted [12, 12, N, 3], got ["));
    EXPECT_EQ(message_of<InputError>([&] { there.forward(x); }), here);
    EXPECT_EQ(message_of<InputError>([&] { there.train(x, {1, 2}, 0, 0.1, 0); }), here);
  }
}

TEST(DeviceTraining, RefusesToNormalizeASingleValuePerChannel) {
  const std::unique_ptr<Device> device = open_simulated_device();
  Builder b("one", 2, 4);
  const int y = b.batch_norm("bn", b.conv("conv", kInput, {.channels = 16, .kernel = 2, .pad = 0}));
  b.linear("linear", b.global_avg_pool("mean", y), 4);
  Network net = initialized(b.take());
  DeviceNetwork there(net, *device, OptimiserOptions(Sgd{}));
  const Tensor one = Tensor::activation(2, 2, 1, 3);
  for (int i = 0; i < 2; ++i) EXPECT_THROW(there.train(one, {1}, 0, 0.1, 0), InputError);
  there.train(Tensor::activation(2, 2, 2, 3), {1, 2}, 0, 0.1, 0);
  EXPECT_TRUE(std::isfinite(there.forward(one).values()[0]));  // inference has its statistics
}

}  // namespace
}  // namespace kronbit::nn
