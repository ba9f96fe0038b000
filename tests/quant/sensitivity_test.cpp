// The table of single-layer errors: what it measures, that nothing else moves it, its file form.
#include "quant/sensitivity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "data/loader.h"
#include "data/open.h"
#include "nn/models/models.h"
#include "quant/ds_conv2d.h"
#include "tests/tensor/keep_threads.h"
#include "tests/tensor/message_of.h"

namespace kronbit::quant {
namespace {

struct Probe {
  data::Splits splits = data::open("synthetic:200");
  data::Dataset images = splits.train.spread(6);
  nn::Network net = nn::build("resnet20");
  Probe() { net.initialize(3); }
  Sensitivity measure(const SensitivityOptions& options = {}) const {
    return measure_sensitivity(net, images, splits.normalization, options);
  }
};

std::vector<float> logits(nn::Network& net, const Probe& probe) {
  data::Loader loader(probe.images, probe.splits.normalization, {.batch_size = 100});
  return net.forward(loader.batch(0, 0).images, {}).value().values();
}

bool quantized(const nn::Network& net, size_t layer) {
  return dynamic_cast<const DsConv2d*>(net.nodes()[static_cast<size_t>(net.convolutions()[layer])].op.get()) != nullptr;
}

TEST(AssignSomeBits, LeavesHolesInFloatingPoint) {
  nn::Network net = nn::build("resnet20");
  Bits bits(19, 0);
  bits[4] = 3;
  assign_some_bits(net, bits, {.block = 16});
  for (size_t l = 0; l < 19; ++l) EXPECT_EQ(quantized(net, l), l == 4);
  assign_some_bits(net, Bits(19, 0));
  for (size_t l = 0; l < 19; ++l) EXPECT_FALSE(quantized(net, l));
  EXPECT_THROW(assign_some_bits(net, Bits(18, 0)), InputError);
  EXPECT_THROW(assign_some_bits(net, Bits(19, 9)), InputError);
}

TEST(Sensitivity, IsTheChangeOfTheLogitsByOneLayer) {
  Probe probe;
  int64_t calls = 0, last_total = 0;
  const Sensitivity table = probe.measure({.progress = [&](int64_t done, int64_t total) {
    EXPECT_EQ(done, ++calls);
    last_total = total;
  }});
  EXPECT_EQ(calls, 1 + 8 * 19);
  EXPECT_EQ(last_total, calls);
  EXPECT_EQ(table.images, 6);
  ASSERT_EQ(table.layers.size(), 19u);
  EXPECT_EQ(table.layers[0], "conv1");
  const std::vector<float> z = logits(probe.net, probe);
  for (const auto& [layer, b] : {std::pair<size_t, int>{0, 2}, {7, 1}, {18, 5}}) {
    nn::Network one = probe.net.clone();
    Bits bits(19, 0);
    bits[layer] = b;
    assign_some_bits(one, bits);
    const std::vector<float> changed = logits(one, probe);
    double mse = 0, kl = 0;
    for (size_t image = 0; image < 6; ++image) {
      double sum = 0, sum_changed = 0;
      for (size_t k = 0; k < 10; ++k) {
        mse += std::pow(double{changed[10 * image + k]} - double{z[10 * image + k]}, 2) / 60;
        sum += std::exp(double{z[10 * image + k]});
        sum_changed += std::exp(double{changed[10 * image + k]});
      }
      for (size_t k = 0; k < 10; ++k) {
        const double p = std::exp(double{z[10 * image + k]}) / sum;
        kl += p * std::log(p / (std::exp(double{changed[10 * image + k]}) / sum_changed)) / 6;
      }
    }
    ASSERT_GT(mse, 0);
    EXPECT_NEAR(table.mse[layer][static_cast<size_t>(b - 1)], mse, 1e-9 * mse);
    EXPECT_NEAR(table.kl[layer][static_cast<size_t>(b - 1)], kl, 1e-6 * kl + 1e-12);
  }
  for (const auto& row : table.mse) {
    EXPECT_GT(row[0], 10 * row[4]);  // four bits are worth more than a factor of ten, whatever the layer
    EXPECT_GT(row[3], row[7]);
  }
}

TEST(Sensitivity, DependsOnNothingElse) {
  Probe probe;
  const Sensitivity table = probe.measure();
  {
    const KeepThreads keep;
    set_threads(threads() == 1 ? 3 : 1);
    EXPECT_EQ(to_json(probe.measure()), to_json(table));
  }
  assign_bits(probe.net, Bits(19, 1));  // bits it had before are not looked at, and stay
  EXPECT_EQ(to_json(probe.measure()), to_json(table));
  EXPECT_EQ(current_bits(probe.net), Bits(19, 1));
  const Sensitivity weights_only = probe.measure({.assign = {.activations = false}, .batch = 4});
  for (size_t b = 0; b < 8; ++b)  // the image is not quantized anyway
    EXPECT_NEAR(weights_only.mse[0][b], table.mse[0][b], 1e-4 * table.mse[0][b]);
  EXPECT_LT(weights_only.mse[5][1], table.mse[5][1]);
}

TEST(Sensitivity, FileFormIsExact) {
  Sensitivity table{.network = "tiny", .options = {.mode = Mode::PaperFloor, .block = 16, .activations = false}};
  table.images = 7;
  table.layers = {"a", "b"};
  table.mse = {{1.0 / 3, 0.1, 1e-17, 5e-324, 0, 1e300, 2, 3}, {1, 2, 3, 4, 5, 6, 7, 8}};
  table.kl = {{8, 7, 6, 5, 4, 3, 2, M_PI}, {0, 0, 0, 0, 0, 0, 0, 0}};
  const Json json = to_json(table);
  const Sensitivity back = sensitivity_from_json(parse_json(dump_line(json), "test"), "test");
  EXPECT_EQ(back.mse, table.mse);
  EXPECT_EQ(back.kl, table.kl);
  EXPECT_EQ(back.layers, table.layers);
  EXPECT_EQ(to_json(back), json);
  const auto refused = [&](const auto& change) {
    Json bad = json;
    change(bad);
    EXPECT_THROW(sensitivity_from_json(bad, "test"), InputError) << bad;
  };
  refused([](Json& j) { j["schema"] = "kronbit.bits/1"; });
  refused([](Json& j) { j["mode"] = "other"; });
  refused([](Json& j) { j["layers"][1]["kl"].erase(0); });
  refused([](Json& j) { j["layers"][0]["mse"][2] = -1e-9; });
  refused([](Json& j) { j.erase("images"); });
}

TEST(Sensitivity, RefusesWhatItCannotMeasure) {
  Probe probe;
  probe.images = probe.splits.train.first(0);
  EXPECT_THROW(probe.measure(), InputError);
  probe.images = probe.splits.train.spread(2);
  probe.net = nn::build("resnet20", {.input_size = 64});
  EXPECT_THROW(probe.measure(), InputError);
  probe.net = nn::build("resnet20");
  probe.net.initialize(1);
  probe.net.parameters()[0].var.value().data<float>()[0] = std::numeric_limits<float>::infinity();
  EXPECT_THROW(probe.measure(), NumericalError);
}

TEST(Sensitivity, Stops) {
  const std::atomic<bool> stop{true};
  EXPECT_THAT(message_of<Error>([&] { Probe().measure({.stop = &stop}); }), testing::HasSubstr("stopped"));
}

}  // namespace
}  // namespace kronbit::quant
