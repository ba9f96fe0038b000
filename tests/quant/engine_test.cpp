// The engine against the network it was made from, and against itself: every exact kernel, any number of threads,
// single images and groups give the same bits.
#include "quant/engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "nn/layers.h"
#include "nn/models/models.h"
#include "quant/engine/choice.h"
#include "quant/kernels/block_product.h"
#include "quant/kernels/dense/dense.h"
#include "tensor/cpu.h"
#include "tensor/io/file.h"
#include "tensor/io/json.h"
#include "tensor/memory.h"
#include "tensor/rng.h"
#include "tests/quant/untrained_networks.h"
#include "tests/tensor/message_of.h"
#include "tests/tensor/temporary_folder.h"

namespace kronbit::quant {
namespace {

/// Image `n` of x alone.
Tensor image_of(const Tensor& x, int64_t n) {
  Tensor one = Tensor::activation(x.height(), x.width(), 1, 3);
  for (int64_t p = 0; p < x.height() * x.width(); ++p)
    std::copy_n(x.row<float>(p * x.images() + n), 3, one.row<float>(p));
  return one;
}

std::vector<float> logits_of(Engine& engine, const Tensor& x) {
  std::vector<float> logits(static_cast<size_t>(x.images() * engine.classes()));
  engine.run(x, logits);
  return logits;
}

std::vector<float> logits_of(const PackedNetwork& network, const Tensor& x,
                             PackedKernel kernel = PackedKernel::Dequantized) {
  nn::Network net = network.network(kernel);
  const Tensor y = net.forward(x, {}).value();
  std::vector<float> logits;
  for (int64_t n = 0; n < y.rows(); ++n) logits.insert(logits.end(), y.row<float>(n), y.row<float>(n) + y.cols());
  return logits;
}

struct Case {
  std::string net, bits;
};

class EngineOf : public testing::TestWithParam<Case> {};

TEST_P(EngineOf, HasTheSameBitsForAnyThreadsAndGroups) {
  const PackedNetwork network = packed(GetParam().net, GetParam().bits);
  const Tensor x = images(10);
  Engine one(network, {.threads = 1, .exact = true});
  const std::vector<float> expected = logits_of(one, x);
  for (int threads : {2, 3, 4}) {
    Engine engine(network, {.threads = threads, .exact = true});
    EXPECT_TRUE(same_bits(logits_of(engine, x), expected)) << threads << " threads";
    EXPECT_TRUE(same_bits(logits_of(engine, x), expected)) << threads << " threads, again";
    for (int64_t n : {0, 3, 9}) {
      const std::vector<float> single = logits_of(engine, image_of(x, n));
      EXPECT_TRUE(std::equal(single.begin(), single.end(), expected.begin() + n * 10))
          << threads << " threads, image " << n;
    }
  }
}

TEST_P(EngineOf, HasTheSameBitsWithEveryExactKernel) {
  const PackedNetwork network = packed(GetParam().net, GetParam().bits);
  const Tensor x = images(3);
  Engine reference(network, {.kernel = "reference"});
  const std::vector<float> expected = logits_of(reference, x);
  int compared = 0;
  for (const BlockKernel* kernel : block_kernels()) {
    if (!kernel->supported() || kernel->family == "reference") continue;
    Engine engine(network, {.kernel = std::string(kernel->name)});
    const auto& choices = engine.latency_choices();
    EXPECT_TRUE(std::any_of(choices.begin(), choices.end(), [&](const auto& c) { return c.kernel == kernel->name; }))
        << kernel->name << " was forced and runs nothing";
    if (kernel->exact && engine.exact()) {
      EXPECT_TRUE(same_bits(logits_of(engine, x), expected)) << kernel->name;
    } else {
      EXPECT_LT(distance(logits_of(engine, x), expected), 1) << kernel->name;
    }
    ++compared;
  }
  EXPECT_GT(compared, 0);
}

TEST_P(EngineOf, HasTheSameBitsOnEveryInstructionSet) {
  const PackedNetwork network = packed(GetParam().net, GetParam().bits);
  const Tensor x = images(2);
  const Isa most = isa_level();
  std::vector<float> expected;
  for (Isa level : {Isa::Baseline, Isa::Avx2, Isa::Avx512, Isa::Avx512Bf16, Isa::Amx}) {
    if (level > most) continue;
    limit_isa(name_of(level));
    Engine engine(network, {.exact = true});
    const std::vector<float> logits = logits_of(engine, x);
    if (expected.empty()) expected = logits;
    EXPECT_TRUE(same_bits(logits, expected)) << name_of(level);
  }
  limit_isa("auto");
}

INSTANTIATE_TEST_SUITE_P(Networks, EngineOf,
                         testing::Values(Case{"resnet20", "666 5555 44444 33333 22"}, Case{"vgg11", "8 7 6 5 4 3 2 1"},
                                         Case{"resnet20", "1"}),
                         [](const auto& given) { return given.param.net + "_" + std::to_string(given.index); });

// A rounding that differs can move an activation by a whole step. In an untrained network that travels, at few bits
// far; at many bits the distance stays well below that of two different networks, which is about 1.
TEST(Engine, ComputesWhatTheNetworkDoes) {
  for (const Case& c : {Case{"resnet20", "666 5555 44444 33333 22"}, Case{"resnet20", "1"}, Case{"vgg11", "8"},
                        Case{"resnet18", "4"}, Case{"googlenet", "3"}, Case{"vgg16_imagenet", "6"},
                        Case{"googlenet_imagenet", "7"}, Case{"resnet50_imagenet", "5"}}) {
    const PackedNetwork network = packed(c.net, c.bits, {}, MultiplierFormat::Auto, 32);
    const Tensor x = images(c.net == "resnet20" ? 11 : 2);
    Engine engine(network, {.exact = true});
    EXPECT_TRUE(engine.exact());
    EXPECT_LT(distance(logits_of(engine, x), logits_of(network, x)), 0.05) << c.net << " " << c.bits;
  }
}

// The network of reference operators adds in the same order: up to the linear layer at its end, the engine gives the
// same bits, so not one activation moves by a step.
TEST(Engine, IsTheReferenceNetworkToTheLastBitOfItsConvolutions) {
  for (const Case& c :
       {Case{"resnet20", "666 5555 44444 33333 22"}, Case{"vgg11", "8 7 6 5 4 3 2 1"}, Case{"resnet20", "1"}}) {
    const PackedNetwork network = packed(c.net, c.bits);
    const Tensor x = images(2);
    Engine engine(network, {.exact = true});
    EXPECT_LT(distance(logits_of(engine, x), logits_of(network, x, PackedKernel::Reference)), 1e-6)
        << c.net << " " << c.bits;
  }
}

TEST(Engine, ReadsPixelsAsTheDataSetDoes) {
  Engine engine(packed("resnet20", "4"));
  Tensor x = Tensor::activation(32, 32, 9, 3);
  std::vector<uint8_t> rgb(static_cast<size_t>(9 * 32 * 32 * 3));
  Rng rng(9, Purpose::Synthetic, {2});
  for (int64_t n = 0; n < 9; ++n) {
    for (int64_t p = 0; p < 32 * 32; ++p) {
      for (int64_t c = 0; c < 3; ++c) {
        const auto v = static_cast<uint8_t>(rng.below(256));
        rgb[static_cast<size_t>((n * 1024 + p) * 3 + c)] = v;
        x.row<float>(p * 9 + n)[c] = (static_cast<float>(v) / 255.0f - 0.5f) / 0.25f;
      }
    }
  }
  std::vector<float> from_pixels(90);
  engine.run(rgb, 9, from_pixels);
  EXPECT_LT(distance(from_pixels, logits_of(engine, x)), 1e-3);
}

TEST(Engine, RunsOtherBlockSizesAndUnquantizedActivations) {
  AssignOptions wide;
  wide.block = 16;
  AssignOptions floats;
  floats.activations = false;
  for (const AssignOptions& options : {wide, floats}) {
    const PackedNetwork network = packed("resnet20", "4", options);
    Engine engine(network);
    const Tensor x = images(3);
    EXPECT_LT(distance(logits_of(engine, x), logits_of(network, x)), 0.05);
    EXPECT_EQ(engine.latency_choices()[1].kernel, "dense");
  }
}

TEST(Engine, DenseWeightsAreSharedByItsPlansAndCounted) {
  Engine engine(packed("resnet20", "4", {.activations = false}));  // no block products
  int64_t numbers = 64 * 32;                                       // of the linear layer, whole blocks of 32 outputs
  for (const nn::ConvInfo& conv : nn::conv_layers(nn::build("resnet20")))
    numbers += (conv.out_channels + 31) / 32 * 32 * conv.in_channels * conv.kernel_h * conv.kernel_w;
  EXPECT_EQ(engine.weight_bytes(), 4 * numbers);

  Chooser chooser({}, "");
  int made = 0;
  const auto make = [&] { return std::vector<float>(7, static_cast<float>(++made)); };
  EXPECT_EQ(chooser.dense_weights("linear", make), chooser.dense_weights("linear", make));
  EXPECT_EQ(made, 1);
  EXPECT_EQ(chooser.weight_bytes(), 28);
}

TEST(Engine, RefusesWhatDoesNotFit) {
  const PackedNetwork network = packed("resnet20", "4");
  EXPECT_THROW(Engine(network, {.kernel = "abacus"}), InputError);
  for (const BlockKernel* kernel : block_kernels()) {
    if (kernel->exact && kernel->supported()) continue;  // those run
    EngineOptions forced{.exact = !kernel->exact, .kernel = std::string(kernel->name)};
    EXPECT_THROW(Engine(network, forced), InputError) << kernel->name;
  }
  const PackedNetwork floats = packed("resnet20", "4", {.activations = false});  // no layer for a block product
  EXPECT_THROW(Engine(floats, {.kernel = "reference"}), InputError);
  EXPECT_NO_THROW(Engine(floats, {.exact = true})) << "no activation is quantized";
  const PackedNetwork wide = packed("resnet20", "4", {.block = 48});
  EXPECT_FALSE(Engine(wide).exact());
  EXPECT_EQ(message_of([&] { Engine(wide, {.exact = true}); }), "[exact] wanted blocks of 32 channels, got 48");
  Engine engine(network);
  std::vector<float> logits(10);
  EXPECT_THROW(engine.run(images(2), logits), InputError);
  EXPECT_THROW(engine.run(images(1, 40), logits), InputError);
  EXPECT_THROW(engine.run(std::vector<uint8_t>(100), 1, logits), InputError);
  engine.run(images(0), std::span<float>{});
}

TEST(Engine, KeepsItsChoicesInAFile) {
  const TemporaryFolder folder;
  const std::filesystem::path file = folder / "choices.json";
  const PackedNetwork network = packed("resnet20", "8");
  Engine first(network, {.choices = file});
  ASSERT_TRUE(std::filesystem::exists(file));
  Engine second(network, {.choices = file});
  for (size_t i = 0; i < first.latency_choices().size(); ++i) {
    EXPECT_EQ(first.latency_choices()[i].kernel, second.latency_choices()[i].kernel);
    EXPECT_EQ(first.latency_choices()[i].microseconds, second.latency_choices()[i].microseconds);
  }
  const std::string timed = read_text(file, 1 << 20);
  // Networks of the same layers and kernels that compute something else.
  std::string last = timed;
  for (const PackedNetwork& other : {packed("resnet20", "7"), packed("resnet20", "7", {.mode = Mode::PaperFloor})}) {
    Engine engine(other, {.choices = file});
    EXPECT_NE(read_text(file, 1 << 20), last) << "it has not been timed";
    last = read_text(file, 1 << 20);
  }
  const std::string key = get_string(read_json(file, 1 << 20), "key", "choices");
  for (const char* part : {"kronbit ", "resnet20", "paper-floor", "blocks of 32", "activations quantized"})
    EXPECT_THAT(key, testing::HasSubstr(part));
  Engine nowhere(network, {.choices = "/proc/nowhere/choices.json"});
}

TEST(Engine, TimesAnewWhereTheFileOfChoicesIsDamaged) {
  const TemporaryFolder folder;
  const std::filesystem::path file = folder / "choices.json";
  const PackedNetwork network = packed("toy10", "4");
  Engine first(network, {.choices = file});
  const Json good = read_json(file, 1 << 20);
  for (const char* key : {"kernel", "runner_up", "border"}) {
    Json bad = good;
    for (auto& [place, choice] : bad["choices"].items()) choice[key] = "\x1b[31mred";
    publish(file, dump_pretty(bad));
    Engine engine(network, {.choices = file});
    for (const auto* choices : {&engine.latency_choices(), &engine.throughput_choices()}) {
      for (const LayerChoice& choice : *choices) {
        EXPECT_EQ(choice.kernel.find('\x1b'), std::string::npos) << key;
        EXPECT_EQ(choice.runner_up.find('\x1b'), std::string::npos) << key;
      }
    }
    EXPECT_EQ(read_text(file, 1 << 20).find("red"), std::string::npos) << key << ": it has not been timed";
  }
}

TEST(Engine, TellsWhichOfItsPlansRan) {
  Engine engine(packed("toy10", "4"), {.threads = 2});
  EXPECT_TRUE(engine.plans_that_ran().empty());
  logits_of(engine, images(1));
  ASSERT_EQ(engine.plans_that_ran().size(), 1u);
  EXPECT_EQ(engine.plans_that_ran()[0].images, 1);
  EXPECT_EQ(engine.plans_that_ran()[0].choices[1].kernel, engine.latency_choices()[1].kernel);
  EXPECT_EQ(engine.plans_that_ran()[0].choices[1].microseconds, engine.latency_choices()[1].microseconds);
  logits_of(engine, images(2 * Engine::kGroup));
  ASSERT_EQ(engine.plans_that_ran().size(), 2u);
  EXPECT_EQ(engine.plans_that_ran()[1].images, Engine::kGroup);
  EXPECT_EQ(engine.plans_that_ran()[1].choices[1].microseconds, engine.throughput_choices()[1].microseconds);
}

TEST(Engine, TakesMemoryForGroupsWhenTheyRun) {
  constexpr int kThreads = 4;
  const PackedNetwork network = packed("resnet20", "4");
  const auto in_use = [] { return static_cast<int64_t>(memory_use().in_use); };
  const int64_t before = in_use();
  Engine engine(network, {.threads = kThreads});
  logits_of(engine, images(1));
  const int64_t one = in_use() - before - engine.weight_bytes();
  EXPECT_LT(one, engine.buffer_bytes() / kThreads);
  logits_of(engine, images(kThreads * Engine::kGroup));
  const int64_t all = in_use() - before - engine.weight_bytes();
  EXPECT_GT(all, 3 * one);
  logits_of(engine, images(4 * kThreads * Engine::kGroup));
  EXPECT_EQ(in_use() - before - engine.weight_bytes(), all) << "no more for more images";
}

TEST(DenseKernels, HaveTheSameBits) {
  Rng rng(2, Purpose::Synthetic, {3});
  using Sizes = std::array<int64_t, 3>;
  for (const auto& [rows, depth, panels] :
       {Sizes{1, 1, 1}, Sizes{5, 27, 4}, Sizes{13, 64, 2}, Sizes{30, 100, 1}, Sizes{0, 3, 1}}) {
    std::vector<float> x(static_cast<size_t>(rows * (depth + 3) + 1)), w(static_cast<size_t>(panels * depth * 16));
    for (auto* values : {&x, &w})
      for (float& v : *values) v = static_cast<float>(rng.uniform(-1, 1));
    const auto pitch = 16 * panels + 5;
    std::vector<float> expected(static_cast<size_t>(rows * pitch), -7.0f), y;
    const auto spec = [&](std::vector<float>& to) {
      return DenseSpec{rows, depth, panels, x.data(), depth + 3, w.data(), to.data(), pitch};
    };
    kDenseBaseline.run(spec(expected));
    for (const DenseKernel& kernel : dense_kernels()) {
      if (!kernel.supported()) continue;
      y.assign(expected.size(), -7.0f);
      kernel.run(spec(y));
      EXPECT_TRUE(same_bits(y, expected)) << kernel.name << " " << rows << " " << depth;
    }
  }
}

}  // namespace
}  // namespace kronbit::quant
