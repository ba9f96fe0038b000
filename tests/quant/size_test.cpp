// The size rules against the tables of METHOD.md.
#include "quant/size.h"

#include <gtest/gtest.h>

#include "nn/models/models.h"

namespace kronbit::quant {
namespace {

SizeReport size_of_model(const char* net, const char* bits, SizeRule rule, int64_t block = kBlock,
                         MultiplierFormat format = MultiplierFormat::Auto) {
  const std::vector<nn::ConvInfo> layers = nn::conv_layers(nn::build(net));
  return size_of(layers, parse_bits(bits, static_cast<int64_t>(layers.size())), rule, block, format);
}

struct Row {
  const char* net;
  const char* bits;
  double megabytes, tolerance;
};

TEST(Size, PaperRuleReproducesTable1) {
  const Row rows[] = {
      {"vgg16", "6 555 44 333 22 11", 4.84, 0.006},
      {"vgg16", "11 22 333 44 555 6", 9.50, 0.006},
      {"vgg16", "7 66 55 44 33 222 1", 5.26, 0.006},
      {"vgg16", "1 222 33 44 55 66 7", 10.75, 0.006},
      {"vgg16", "4", 8.28, 0.006},
      {"vgg16", "3", 6.44, 0.006},
      {"vgg19", "3", 8.76, 0.006},
      {"resnet18", "666 5555 4444 3333 2222 1", 3.72, 0.006},
      {"resnet18", "1 2222 3333 4444 5555 666", 8.00, 0.006},
      {"resnet18", "44444444 3333333333 22", 4.34, 0.006},
      {"resnet18", "22 3333333333 44444444", 6.08, 0.006},
      {"resnet18", "3", 4.90, 0.021},
      {"resnet18", "2", 3.49, 0.006},
      {"googlenet", "3", 2.68, 0.03},
      {"googlenet", "2x64", 1.92, 0.02},
  };
  for (const Row& row : rows)
    EXPECT_NEAR(size_of_model(row.net, row.bits, SizeRule::Paper).megabytes(), row.megabytes, row.tolerance)
        << row.net << " " << row.bits;
}

TEST(Size, OfEightBitsIsAByteForEveryWeight) {
  const SizeReport report = size_of_model("vgg16", "8", SizeRule::Payload);
  EXPECT_EQ(report.bits.size(), 13u);
  EXPECT_EQ(report.bytes, report.weights);
  EXPECT_DOUBLE_EQ(report.percent_of_fp32(), 25.0);
}

// A layer of 40 channels: per position, a block of 32 and one of 8.
const std::vector<nn::ConvInfo> kTwo = {{.node = 1,
                                         .name = "a",
                                         .out_channels = 16,
                                         .in_channels = 3,
                                         .kernel_h = 3,
                                         .kernel_w = 3,
                                         .out_h = 8,
                                         .out_w = 8},
                                        {.node = 2,
                                         .name = "b",
                                         .out_channels = 5,
                                         .in_channels = 40,
                                         .kernel_h = 1,
                                         .kernel_w = 1,
                                         .out_h = 4,
                                         .out_w = 4}};

TEST(Size, PackedCountsWholeBytesOfPlanesAndMultipliers) {
  const int64_t a_positions = 16 * 9, b_positions = 5;
  const SizeReport report = size_of(kTwo, {3, 2}, SizeRule::Packed);
  EXPECT_EQ(report.bytes, a_positions * (3 * 1 + 2) + b_positions * (2 * (4 + 1) + 2 * 2));
  EXPECT_EQ(size_of(kTwo, {3, 2}, SizeRule::Packed, kBlock, MultiplierFormat::F32).bytes,
            a_positions * (3 * 1 + 4) + b_positions * (2 * (4 + 1) + 2 * 4));
  // Blocks of 7: 1 byte each, 40 = 5 * 7 + 5 gives 6 blocks.
  EXPECT_EQ(size_of(kTwo, {3, 2}, SizeRule::Packed, 7).bytes, a_positions * (3 + 2) + b_positions * 6 * (2 + 2));
  EXPECT_EQ(report.bops, 432 * 64 * 9 + 200 * 16 * 4);
  EXPECT_EQ(report.total_bits, 5);
  EXPECT_EQ(report.weights, 432 + 200);
}

TEST(Size, RefusesWrongLists) {
  EXPECT_THROW(size_of(kTwo, {3}, SizeRule::Packed), InputError);
  EXPECT_THROW(size_of(kTwo, {3, 9}, SizeRule::Packed), InputError);
  EXPECT_THROW(size_of(kTwo, {3, 3}, SizeRule::Packed, 0), InputError);
  EXPECT_THROW(parse_size_rule("exact"), InputError);
  EXPECT_THROW(parse_multiplier_format("f64"), InputError);
  for (SizeRule rule : {SizeRule::Paper, SizeRule::Payload, SizeRule::Packed})
    EXPECT_EQ(parse_size_rule(name_of(rule)), rule);
}

}  // namespace
}  // namespace kronbit::quant
