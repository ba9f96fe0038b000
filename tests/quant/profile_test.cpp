// Times of a plan's steps: of every convolution, in order, in both modes, with any number of threads.
#include "quant/engine/profile.h"

#include <gtest/gtest.h>

#include "nn/layers.h"
#include "nn/models/models.h"
#include "quant/kernels/block_product.h"

namespace kronbit::quant {
namespace {

PackedNetwork packed(const std::string& name, int bits) {
  nn::Network net = nn::build(name, {.classes = 10});
  net.initialize(7);
  assign_bits(net, Bits(net.convolutions().size(), bits));
  return pack(net);
}

TEST(PlanTimer, TimesEveryConvolutionWhereItRuns) {
  // Shortcuts with and without convolutions, branches.
  for (const char* name : {"resnet20", "resnet18", "googlenet"}) {
    const auto layers = nn::conv_layers(nn::build(name));
    const PackedNetwork network = packed(name, 3);
    for (const RunMode mode : {RunMode::Single, RunMode::Groups}) {
      PlanTimer timer(network, {.threads = 2}, mode);
      timer.round(1e-3);
      const PlanTimes times = timer.times();
      ASSERT_EQ(times.choices.size(), layers.size()) << name;
      ASSERT_EQ(times.microseconds.size(), layers.size()) << name;
      for (size_t l = 0; l < layers.size(); ++l) {
        EXPECT_EQ(times.choices[l].layer, layers[l].name);
        EXPECT_GT(times.microseconds[l], 0) << layers[l].name;
      }
      EXPECT_GE(times.rest, 0);
    }
  }
}

TEST(PlanTimer, RoundsOnlyLowerTheTimes) {
  PlanTimer timer(packed("resnet20", 2), {.threads = 1}, RunMode::Single);
  timer.round(1e-3);
  const PlanTimes before = timer.times();
  timer.round(1e-3);
  const PlanTimes after = timer.times();
  for (size_t l = 0; l < before.microseconds.size(); ++l) EXPECT_LE(after.microseconds[l], before.microseconds[l]);
  EXPECT_LE(after.rest, before.rest);
}

TEST(PlanTimer, RunsAForcedKernelInEveryLayerButTheFirst) {
  const PackedNetwork network = packed("resnet20", 4);
  for (const BlockKernel* kernel : block_kernels()) {
    const EngineOptions options{.threads = 1, .kernel = std::string(kernel->name)};
    if (!kernel->supported()) {
      EXPECT_THROW(PlanTimer(network, options, RunMode::Single), InputError) << kernel->name;
      continue;
    }
    if (kernel->family == "reference") continue;  // takes long
    PlanTimer timer(network, options, RunMode::Single);
    timer.round(1e-4);
    const PlanTimes times = timer.times();
    for (size_t l = 0; l < times.choices.size(); ++l)  // the first reads the image, which is not quantized
      EXPECT_EQ(times.choices[l].kernel, l == 0 ? "dense" : kernel->name) << times.choices[l].layer;
  }
  EXPECT_THROW(PlanTimer(network, {.kernel = "abacus"}, RunMode::Single), InputError);
}

}  // namespace
}  // namespace kronbit::quant
