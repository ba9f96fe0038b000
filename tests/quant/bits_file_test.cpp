// bits.json: there and back, and refused for another network or in another order.
#include "quant/bits_file.h"

#include <gtest/gtest.h>

#include "nn/models/models.h"
#include "tensor/io/json.h"
#include "tests/tensor/temporary_folder.h"

namespace kronbit::quant {
namespace {

TEST(BitsFile, IsReadBackAndCheckedByName) {
  const nn::Network net = nn::build("resnet20");
  const TemporaryFolder folder;
  const auto path = [&](const char* name) { return folder / name; };
  const Assignment assignment{parse_bits("666 5555 44444 33333 21", 19),
                              {.mode = Mode::PaperFloor, .block = 64, .activations = false}};
  write_bits_file(path("bits.json"), net, assignment);
  const Assignment back = read_bits_file(path("bits.json"), net);
  EXPECT_EQ(back.bits, assignment.bits);
  EXPECT_EQ(back.options.mode, Mode::PaperFloor);
  EXPECT_EQ(back.options.block, 64);
  EXPECT_FALSE(back.options.activations);
  EXPECT_THROW(read_bits_file(path("bits.json"), nn::build("resnet32")), InputError);
  EXPECT_THROW(read_bits_file(path("none.json"), net), InputError);
  EXPECT_THROW(write_bits_file(path("x.json"), net, {{4, 4}, {}}), InputError);

  const Json good = read_json(path("bits.json"));
  const auto refuse = [&](auto&& change) {
    Json json = good;
    change(json);
    EXPECT_THROW(read_bits_file(folder.write("bad.json", json.dump()), net), InputError) << json.dump();
  };
  refuse([](Json& j) { j["schema"] = "kronbit.bits/2"; });
  refuse([](Json& j) { j["network"] = "vgg16"; });
  refuse([](Json& j) { j["layers"] = "666"; });
  refuse([](Json& j) { j["layers"].erase(3); });
  refuse([](Json& j) { j["layers"][3]["name"] = "layer9"; });
  refuse([](Json& j) { std::swap(j["layers"][3], j["layers"][4]); });
  refuse([](Json& j) { j["layers"][3]["bits"] = 9; });
  refuse([](Json& j) { j["layers"][3]["bits"] = 4.5; });
  refuse([](Json& j) { j["layers"][3]["bits"] = nullptr; });
  refuse([](Json& j) { j["block"] = 0; });
  refuse([](Json& j) { j = 7; });
}

}  // namespace
}  // namespace kronbit::quant
