// Fine-tuning a quantized network on a device goes the way it goes on this processor in bf16.
#include <gtest/gtest.h>

#include "nn/models/builder.h"
#include "nn/train.h"
#include "quant/assign.h"
#include "tests/nn/random_images.h"
#include "tests/tensor/devices.h"
#include "tests/tensor/distance.h"

namespace kronbit::quant {
namespace {

nn::Network residual_network() {
  nn::Builder b("residual", 10, 10);
  const int x = b.relu("relu1", b.batch_norm("bn1", b.conv("conv1", nn::kInput, {.channels = 16})));
  const int y = b.relu("relu2", b.batch_norm("bn2", b.conv("conv2", x, {.channels = 48, .stride = 2})));
  const int z = b.batch_norm("bn3", b.conv("conv3", y, {.channels = 48, .kernel = 1, .pad = 0}));
  const int s = b.batch_norm("bn4", b.conv("conv4", x, {.channels = 48, .kernel = 1, .stride = 2, .pad = 0}));
  const int u = b.add("add", z, s);  // what follows reads numbers of both signs
  const int v = b.relu("relu5", b.batch_norm("bn5", b.conv("conv5", u, {.channels = 16})));
  b.linear("linear", b.global_avg_pool("mean", v), 10);
  nn::Network net = b.take();
  net.initialize(6);
  return net;
}

TEST(DeviceFineTuning, GoesTheWayOfTheProcessor) {
  const data::Dataset images = nn::random_images(24, 10, 10);
  for (const char* bits : {"8", "4", "3 1 2 5 6"}) {
    nn::Network start = residual_network();
    assign_bits(start, parse_bits(bits, std::ssize(start.convolutions())));
    nn::TrainOptions options;
    options.epochs = 2;
    options.batch = 12;
    options.optimiser = nn::Sgd{.lr = 0.02};
    options.precision = DType::BF16;
    const auto trained = [&](Device* device) {
      nn::Network net = start.clone();
      options.device = device;
      nn::Trainer trainer(net, images, data::kCifar10, options);
      while (!trainer.done()) trainer.advance();
      trainer.fetch();
      return nn::parameters_of(net);
    };
    const std::vector<float> before = nn::parameters_of(start), wanted = trained(nullptr);
    for (const std::unique_ptr<Device>& device : devices()) {
      // A number that falls on the other side of a rounding moves by a whole step of its quantizer.
      EXPECT_LT(distance(trained(device.get()), wanted, before), 0.1) << bits << " bits, " << device->properties().name;
    }
  }
}

}  // namespace
}  // namespace kronbit::quant
