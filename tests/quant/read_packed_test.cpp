// docs/read_packed.py, which knows the packed file from its description only, reads what the library reads.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <sstream>

#include "tests/quant/untrained_networks.h"
#include "tests/tensor/temporary_folder.h"

namespace kronbit::quant {
namespace {

const std::string kPython = "PYTHONDONTWRITEBYTECODE=1 python3 ";

std::string output_of(const std::string& command) {
  FILE* pipe = popen(command.c_str(), "r");
  EXPECT_NE(pipe, nullptr);
  std::string text;
  for (char chunk[4096]; size_t n = fread(chunk, 1, sizeof(chunk), pipe);) text.append(chunk, n);
  EXPECT_EQ(pclose(pipe), 0) << command;
  return text;
}

std::string line_of(const PackedLayer& layer, const QuantizedWeights& weights) {
  const auto [least, most] = std::ranges::minmax(weights.integers);
  const Shape& s = layer.shape;
  return fmt::format("{} bits {} shape [{}, {}, {}, {}] integers {}..{}", layer.name, layer.bits, s[0], s[1], s[2],
                     s[3], least, most);
}

/// Of [O][kh][kw][C] with a multiplier per block of C, as [O, C, kh, kw].
std::vector<float> values_of(const QuantizedWeights& weights) {
  const Shape& s = weights.shape;
  std::vector<float> values;
  for (int64_t o = 0; o < s[0]; ++o) {
    for (int64_t c = 0; c < s[1]; ++c) {
      for (int64_t tap = 0; tap < s[2] * s[3]; ++tap) {
        const int64_t position = o * s[2] * s[3] + tap;
        const int64_t block = position * weights.blocks_per_position() + c / weights.block;
        values.push_back(static_cast<float>(weights.integers[static_cast<size_t>(position * s[1] + c)]) *
                         weights.multipliers[static_cast<size_t>(block)]);
      }
    }
  }
  return values;
}

/// Every layer of `network` as the script prints it, of three the weights too, against the library's.
void expect_same(const PackedNetwork& network, const TemporaryFolder& folder) {
  const auto& layers = network.layers();
  const std::set<std::string> whole{layers.front()->name, layers[layers.size() / 2]->name, layers.back()->name};
  const std::filesystem::path file = folder / "model.safetensors";
  network.save(file);
  std::istringstream printed(output_of(kPython + "'" KRONBIT_SOURCE_DIR "/docs/read_packed.py' " + file.string() + " " +
                                       fmt::format("{}", fmt::join(whole, " "))));
  for (const auto& layer : layers) {
    const QuantizedWeights weights = unpack(*layer);
    std::string line;
    ASSERT_TRUE(std::getline(printed >> std::ws, line)) << layer->name;
    EXPECT_EQ(line, line_of(*layer, weights));
    if (!whole.contains(layer->name)) continue;
    std::vector<float> values(weights.integers.size());
    for (float& value : values) printed >> value;
    EXPECT_EQ(values, values_of(weights)) << layer->name;
  }
}

class ReadPacked : public testing::Test {
 protected:
  void SetUp() override {
    if (std::system((kPython + "-c 'import numpy' 2> /dev/null").c_str()) != 0)
      GTEST_SKIP() << "python3 with numpy is not installed";
  }
  const TemporaryFolder folder_;
};

TEST_F(ReadPacked, EveryNumberOfBits) { expect_same(packed("toy10", "12345678 21"), folder_); }

TEST_F(ReadPacked, EveryFormatOfMultipliers) {
  for (const MultiplierFormat format : {MultiplierFormat::F16, MultiplierFormat::BF16, MultiplierFormat::F32})
    expect_same(packed("toy10", "3 1x3 2 5x5", {}, format), folder_);
}

TEST_F(ReadPacked, EveryModeAndOtherBlocks) {
  for (const Mode mode : {Mode::SignedExtreme, Mode::Binary, Mode::PaperFloor})
    expect_same(packed("toy10", "1x10", {.mode = mode}), folder_);
  for (const int64_t block : {8, 24, 256}) expect_same(packed("toy10", "4 1x4 3x5", {.block = block}), folder_);
}

// What the script takes for granted, because the file does not say it: channels fill their last byte.
TEST(ReadPackedChannels, AreThreeOfTheImageAndMultiplesOfEightLater) {
  for (const std::string& name : nn::model_names()) {
    const std::vector<nn::ConvInfo> layers = nn::conv_layers(nn::build(name));
    EXPECT_EQ(layers[0].in_channels, 3) << name;
    for (size_t l = 1; l < layers.size(); ++l) EXPECT_EQ(layers[l].in_channels % 8, 0) << name << " " << layers[l].name;
  }
}

}  // namespace
}  // namespace kronbit::quant
