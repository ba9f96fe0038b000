// kronbit sensitivity as its users run it: tables that agree with each other and with kronbit size, allocations within
// their limits, and one line for every mistake.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "quant/sensitivity.h"
#include "tests/apps/program.h"

namespace kronbit::app {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

Words sensitivity(const Words& more = {}) {
  Words all = words(
      "sensitivity --net resnet20 --threads 1 --probe 4 --images 8 --bits 2 --precision fp32",
      {"--weights", tiny_weights().string(), "--data", "cifar10:" + tiny_cifar().string(), "--validation", "train:20"});
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

TEST(CliSensitivity, TablesAllocationsAndFiles) {
  const fs::path out = fresh("table.json"), plot = fresh("table.svg");
  const Json json = kronbit_json(sensitivity({"--all-but-one", "--allocate", "3.5bits", "--allocate", "100KB", "--fix",
                                              "conv1=8", "--out", out.string(), "--plot", plot.string()}));
  EXPECT_EQ(Json::parse(file_text(out)), json);
  const quant::Sensitivity table = quant::sensitivity_from_json(json, "test");
  EXPECT_EQ(table.network, "resnet20");
  EXPECT_EQ(table.images, 4);
  EXPECT_EQ(json["validation_images"], 8);
  ASSERT_EQ(json["layers"].size(), 19u);
  double share = 0;
  for (const Json& layer : json["layers"]) {
    share += layer["share"].get<double>();
    EXPECT_NEAR(layer["alone"][0]["drop"].get<double>(),
                json["fp32"].get<double>() - layer["alone"][0]["accuracy"].get<double>(), 1e-12);
    EXPECT_EQ(layer["all_but_one"][0]["bits"], 2);
    // Order and ranks are those of the table.
    EXPECT_EQ(json["most_sensitive_first"][layer["rank"].get<size_t>() - 1], layer["name"]);
  }
  EXPECT_NEAR(share, 1, 1e-12);
  for (size_t rank = 1; rank < 19; ++rank) {
    const auto mse = [&](size_t r) {
      const std::string name = json["most_sensitive_first"][r].get<std::string>();
      const auto at = std::find(table.layers.begin(), table.layers.end(), name) - table.layers.begin();
      return table.mse[static_cast<size_t>(at)][1];
    };
    EXPECT_GE(mse(rank - 1), mse(rank));
  }
  ASSERT_EQ(json["allocations"].size(), 2u);
  for (const Json& a : json["allocations"]) {
    EXPECT_EQ(a["bits"][0], 8);
    const Json size = kronbit_json(words("size --net resnet20 --bits", {a["text"].get<std::string>()}));
    EXPECT_EQ(size["bytes"], a["bytes"]);
    EXPECT_EQ(size["bits"], a["bits"]);
    double error = 0;
    for (size_t l = 0; l < 19; ++l) error += table.mse[l][a["bits"][l].get<size_t>() - 1];
    EXPECT_NEAR(a["log_error"].get<double>(), std::log(error), 1e-9);
    EXPECT_LT(a["log_error"].get<double>(), a["uniform"]["log_error"].get<double>());
  }
  EXPECT_LE(json["allocations"][0]["bits_per_weight"].get<double>(), 3.5);
  EXPECT_GT(json["allocations"][0]["bits_per_weight"].get<double>(), 3.4);
  EXPECT_EQ(json["allocations"][0]["uniform"]["bits"][5], 3);
  EXPECT_LE(json["allocations"][1]["bytes"].get<int64_t>(), 100000);
  EXPECT_GT(json["allocations"][1]["bytes"].get<int64_t>(), 98000);
  if (fs::exists(plot)) {  // gnuplot may be missing
    EXPECT_THAT(file_text(plot),
                AllOf(HasSubstr("layer2.0.conv1"), Not(HasSubstr("var(--"))));  // not every viewer knows CSS variables
  }
}

TEST(CliSensitivity, ForPeopleAndAsCsv) {
  const Ended people = kronbit(sensitivity({"--allocate", "2bits"}));
  EXPECT_EQ(people.code, 0) << people.err;
  for (const char* text : {"drop@2", "layer3.2.conv2", "most sensitive first", "2bits by this table alone",
                           "kronbit eval", "kronbit search", "uniform 2"})
    EXPECT_THAT(people.out, HasSubstr(text));
  const Ended csv = kronbit(sensitivity({"--csv"}));
  EXPECT_EQ(csv.code, 0) << csv.err;
  EXPECT_EQ(std::count(csv.out.begin(), csv.out.end(), '\n'), 1 + 8 * 19);
  EXPECT_TRUE(csv.out.starts_with("rank,layer,weights,share,bits,accuracy,drop,logit_mse,kl\n"));
}

TEST(CliSensitivity, MistakesAreOneLine) {
  for (const auto& [flag, value] :
       {std::pair{"--bits", "0"}, {"--bits", "9"},        {"--bits", "2,2"},       {"--bits", "2,"},
        {"--probe", "0"},         {"--probe", "-1"},      {"--images", "0"},       {"--images", "x"},
        {"--mode", "x"},          {"--block", "0"},       {"--precision", "half"}, {"--allocate", "3.5"},
        {"--allocate", "9bits"},  {"--allocate", "bits"}, {"--allocate", "0KB"},   {"--fix", "conv1"},
        {"--fix", "nolayer=3"},   {"--tie", "nolayer"},   {"--bits-min", "0"},     {"--bits-max", "9"}})
    refused(with_flag(sensitivity(), flag, value),
            std::string(flag) == "--allocate" ? "alloc" : std::string(flag + 2).substr(0, 4));
  refused(sensitivity({"--bits-min", "5", "--bits-max", "4"}), "range");
  refused(sensitivity({"--allocate", "1KB"}), "bytes");
  refused(sensitivity({"--allocate", "2bits", "--bits-min", "3"}), "3.000 bits");
  refused(words("sensitivity --net resnet20 --weights nowhere.safetensors"), "nowhere");
  refused(words("sensitivity --net resnet20"), "--weights");
  refused(sensitivity({"--out", "/nowhere/there/table.json"}), "nowhere");
}

}  // namespace
}  // namespace kronbit::app
