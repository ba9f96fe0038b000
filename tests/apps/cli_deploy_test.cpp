// What the real program tells about deployed networks: info on packed files, profile, and searches by latency.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "tests/apps/program.h"

namespace kronbit::app {
namespace {

using ::testing::HasSubstr;

constexpr const char* kBits = "666 5555 44444 33333 22";

/// A packed ResNet20. Made once.
const fs::path& packed_model() {
  static const fs::path model = [] {
    const fs::path path = scratch() / "deployed.safetensors";
    kronbit_json(words("export --net resnet20",
                       {"--bits", kBits, "--weights", tiny_weights().string(), "--out", path.string()}));
    return path;
  }();
  return model;
}

Words profile(const fs::path& out, const std::string& more) {
  return words("profile --net resnet20 --threads 1 --seconds 0.002 " + more, {"--out", out.string()});
}

/// The profile of every number of bits that a search needs, with times that are easy to add up: layer l takes
/// (l + 1) * bits microseconds, the rest 1000.
fs::path simple_profile(const std::string& name, double rest = 1000) {
  const fs::path measured = fresh("measured.json");
  EXPECT_EQ(kronbit(profile(measured, "--bits-min 2 --bits-max 2 --batch 1")).code, 0);
  Json json = Json::parse(file_text(measured));
  json["bits_min"] = 1;
  json["bits_max"] = 8;
  Json& batch = json["batches"][0];
  batch["rest_microseconds"] = rest;
  for (size_t l = 0; l < batch["layers"].size(); ++l) {
    const Json cell = batch["layers"][l]["bits"][0];
    batch["layers"][l]["bits"] = Json::array();
    for (int b = 1; b <= 8; ++b) {
      batch["layers"][l]["bits"].push_back(cell);
      batch["layers"][l]["bits"].back()["microseconds"] = static_cast<double>(l + 1) * b;
    }
  }
  const fs::path path = fresh(name);
  write_file(path, json.dump());
  return path;
}

double simple_milliseconds(const Json& bits, double rest = 1000) {
  double sum = rest;
  for (size_t l = 0; l < bits.size(); ++l) sum += static_cast<double>(l + 1) * bits[l].get<double>();
  return sum / 1000;
}

TEST(Deploy, InfoTellsOfAPackedFile) {
  const Json json = kronbit_json({"info", packed_model().string(), "--threads", "1", "--exact"});
  EXPECT_EQ(json["net"], "resnet20");
  EXPECT_EQ(json["classes"], 10);
  EXPECT_EQ(json["input_size"], 32);
  EXPECT_EQ(json["normalization"], "0.5,0.5,0.5/0.25,0.25,0.25");
  EXPECT_EQ(json["exact"], true);
  EXPECT_EQ(json["file_bytes"], fs::file_size(packed_model()));
  EXPECT_GE(json["weight_bytes"], json["conv_bytes"].get<int64_t>() / 2);
  for (const char* key : {"load_milliseconds", "prepare_milliseconds", "buffer_bytes"}) EXPECT_GT(json[key], 0) << key;
  for (const char* mode : {"single", "group"}) {
    ASSERT_EQ(json[mode].size(), 19u);
    EXPECT_EQ(json[mode][0]["kernel"], "dense");
    for (size_t l = 1; l < 19; ++l) {
      const Json& layer = json[mode][l];
      EXPECT_EQ(layer["bits"], json["bits"][l]);
      EXPECT_GT(layer["microseconds"], 0);
      if (!layer["runner_up"].is_null()) {
        EXPECT_NE(layer["runner_up"], layer["kernel"]);
        EXPECT_GE(layer["runner_up_microseconds"], layer["microseconds"].get<double>());
      }
    }
  }
  const Ended text = kronbit({"info", packed_model().string(), "--threads", "1"});
  EXPECT_EQ(text.code, 0);
  for (const char* part : {"resnet20", kBits, "layer3.2.conv2", "runner-up"}) EXPECT_THAT(text.out, HasSubstr(part));
}

TEST(Deploy, BlocksThatAreNot32AreNotExact) {
  const std::string model = (scratch() / "blocks.safetensors").string();
  kronbit_json(
      words("export --net resnet20 --bits 2 --block 48", {"--weights", tiny_weights().string(), "--out", model}));
  refused({"info", model, "--exact"}, "blocks of 32 channels, got 48");
  refused(eval_arguments(model, {"--exact"}), "blocks of 32 channels, got 48");
  EXPECT_THAT(kronbit({"info", model}).out, HasSubstr("products  of FP32 numbers"));
  EXPECT_EQ(kronbit_json(eval_arguments(model))["precision"], "fp32");
}

TEST(Deploy, SizeIsWhatExportWrites) {
  for (const std::string multipliers : {"auto", "f16", "bf16", "f32"}) {
    const Words how = {"--net", "resnet20", "--bits", kBits, "--multipliers", multipliers};
    Words file = {"--weights", tiny_weights().string(), "--out", (scratch() / "multipliers.safetensors").string()};
    file.insert(file.end(), how.begin(), how.end());
    const Json exported = kronbit_json(words("export", file)), size = kronbit_json(words("size", how));
    EXPECT_EQ(size["bytes"], exported["conv_bytes"]) << multipliers;
    const std::string lines = kronbit(words("size --layers", how)).out;
    EXPECT_THAT(lines, HasSubstr(exported["conv_bytes"].dump() + " bytes")) << multipliers;
  }
}

TEST(Deploy, InfoForcesKernelsThatItLists) {
  int forced = 0;
  const Json info = kronbit_json({"info"});
  for (const Json& kernel : info["block_kernels"]) {
    const auto name = kernel["name"].get<std::string>();
    if (!kernel["supported"].get<bool>()) {
      refused({"info", packed_model().string(), "--kernel", name}, name);
      continue;
    }
    if (name == "reference") continue;  // takes long
    const Json json = kronbit_json({"info", packed_model().string(), "--kernel", name, "--threads", "1"});
    for (size_t l = 1; l < 19; ++l) EXPECT_EQ(json["single"][l]["kernel"], name);
    EXPECT_EQ(json["exact"], kernel["exact"]);
    ++forced;
  }
  EXPECT_GT(forced, 0);
}

TEST(Deploy, InfoRefusesOtherFiles) {
  const std::string good = file_text(packed_model());
  const fs::path cut = scratch() / "cut.safetensors", text = scratch() / "text.safetensors";
  write_file(cut, good.substr(0, good.size() / 2));
  write_file(text, "not a network");
  for (const fs::path& path : {cut, text, scratch() / "nowhere", scratch(), tiny_weights()})
    refused({"info", path.string()}, path.string());
  refused({"info", packed_model().string(), "--kernel", "abacus"}, "abacus");
  refused({"info", "--exact"}, "--exact");
  refused({"info", "--kernel", "int8-avx2"}, "info MODEL");
}

TEST(Deploy, ProfileMeasuresEveryCell) {
  const fs::path out = fresh("profile.json");
  const Json answer = kronbit_json(profile(out, "--bits-min 2 --bits-max 3 --check 2"));
  EXPECT_EQ(answer["files"][0], out.string());
  const Json json = Json::parse(file_text(out));
  EXPECT_EQ(json["kronbit.profile"], 1);
  EXPECT_EQ(json["threads"], 1);
  ASSERT_EQ(json["layers"].size(), 19u);
  ASSERT_EQ(json["batches"].size(), 2u);
  for (const Json& batch : json["batches"]) {
    double sum = batch["rest_microseconds"].get<double>();
    ASSERT_EQ(batch["layers"].size(), 19u);
    for (size_t l = 0; l < 19; ++l) {
      const Json& cells = batch["layers"][l]["bits"];
      ASSERT_EQ(cells.size(), 2u);
      for (size_t b = 0; b < 2; ++b) {
        EXPECT_EQ(cells[b]["bits"], b + 2);
        EXPECT_GT(cells[b]["microseconds"], 0);
        EXPECT_NE(cells[b]["kernel"], "");
      }
      if (l == 0) {
        EXPECT_EQ(cells[0]["microseconds"], cells[1]["microseconds"]);  // does not depend on bits
      }
      sum += cells[0]["microseconds"].get<double>();
    }
    const std::string name = std::to_string(batch["batch"].get<int>());
    EXPECT_NEAR(answer["uniform_microseconds"][name][0].get<double>(), sum, 1e-6 * sum) << name;
  }
  EXPECT_EQ(answer["checks"].size(), 2u);
  const std::string csv = file_text(fs::path(out).replace_extension(".csv"));
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 1 + 2 * (19 * 2 + 1));
  EXPECT_EQ(temporaries(scratch()), Words{});
}

/// Runs alone (CMakeLists.txt), because it fails for what else runs on the machine.
TEST(Timing, NetworksAreAboutAsFastAsTheirProfileSays) {
  const Json answer = kronbit_json(profile(fresh("checked.json"), "--bits-min 2 --bits-max 3 --check 2"));
  ASSERT_EQ(answer["checks"].size(), 2u);
  for (const Json& check : answer["checks"]) {
    const double ratio = check["predicted_microseconds"].get<double>() / check["measured_microseconds"].get<double>();
    EXPECT_GT(ratio, 0.2);
    EXPECT_LT(ratio, 5);
  }
}

TEST(Deploy, ProfileRefusals) {
  const fs::path out = fresh("refused.json");
  refused(profile(out, "--bits-min 3 --bits-max 2"), "--bits-min");
  refused(profile(out, "--bits-max 9"), "--bits-max");
  refused(profile(out, "--batch 2"), "--batch");
  refused(profile(out, "--batch 1,x"), "--batch");
  refused(profile(out, "--check 12"), "bits");
  refused(profile(out, "--bits-min 2 --bits-max 3 --check 4"), "--check");
  refused(profile(out, "--kernel abacus"), "abacus");
  refused(profile(out, "--input-size 0"), "--input-size");
  refused(profile(fresh("refused.txt"), ""), ".json");
  refused(words("profile --net resnet21 --out x.json"), "resnet21");
  refused(words("profile --net resnet20"), "--out");
  EXPECT_FALSE(fs::exists(out));
  refused(profile("/proc/nowhere/p.json", ""), "--out] /proc/nowhere/p.json");  // before it measures
}

TEST(Deploy, ProfileStoppedWritesNothing) {
  const fs::path out = fresh("stopped.json");
  Program program(words("profile --net vgg16 --seconds 5", {"--out", out.string()}));
  program.run_for(1);
  program.signal(SIGINT);
  EXPECT_EQ(program.wait().code, 130);
  EXPECT_FALSE(fs::exists(out));
  EXPECT_EQ(temporaries(scratch()), Words{});
}

TEST(Deploy, RankByLatency) {
  const fs::path file = simple_profile("simple.json");
  const std::string run = unbroken_search().string();
  refused({"rank", run, "--by", "latency"}, "kronbit profile");
  refused({"rank", run, "--max-latency", "2ms"}, "kronbit profile");
  const Json fastest = kronbit_json({"rank", run, "--by", "latency", "--profile", file.string(), "--top", "1000000"});
  double last = 0;
  for (const Json& c : fastest["candidates"]) {
    EXPECT_NEAR(c["milliseconds"].get<double>(), simple_milliseconds(c["bits"]), 1e-9);
    EXPECT_GE(c["milliseconds"], last);
    last = c["milliseconds"].get<double>();
  }
  EXPECT_EQ(fastest["candidates"][0]["bits"], Json(std::vector<int>(19, 1)));
  const Json limited = kronbit_json(
      {"rank", run, "--by", "accuracy", "--profile", file.string(), "--max-latency", "1500us", "--top", "1000000"});
  EXPECT_LT(limited["ranked"], fastest["ranked"].get<int>());
  for (const Json& c : limited["candidates"]) EXPECT_LE(c["milliseconds"], 1.5);
  EXPECT_EQ(kronbit_json({"rank", run})["candidates"][0]["milliseconds"], nullptr);
  EXPECT_THAT(kronbit({"rank", run, "--profile", file.string()}).out, HasSubstr(" ms"));
  refused({"rank", run, "--profile", file.string(), "--max-latency", "1ms"}, "1.19 ms for the fastest");
  refused({"rank", run, "--profile", file.string(), "--max-latency", "2"}, "--max-latency");
}

TEST(Deploy, ProfilesThatDoNotFitAreRefused) {
  const fs::path file = simple_profile("damaged.json");
  const Json good = Json::parse(file_text(file));
  const auto check = [&](const std::string& mentions, const auto& change) {
    Json json = good;
    change(json);
    const fs::path bad = scratch() / "bad_profile.json";
    write_file(bad, json.dump());
    refused({"rank", unbroken_search().string(), "--by", "latency", "--profile", bad.string()}, mentions);
  };
  check("kronbit profile", [](Json& j) { j.erase("kronbit.profile"); });
  check("version", [](Json& j) { j["kronbit.profile"] = 2; });
  check("resnet32", [](Json& j) { j["net"] = "resnet32"; });
  check("64 x 64", [](Json& j) { j["input_size"] = 64; });
  check("layers", [](Json& j) { j["layers"].erase(3); });
  check("layers", [](Json& j) { j["layers"][3] = "other"; });
  check("1..8 bits", [](Json& j) { j["bits_max"] = 7; });
  check("single images", [](Json& j) { j["batches"][0]["batch"] = 128; });
  check("layers", [](Json& j) { j["batches"][0]["layers"].erase(3); });
  check("numbers of bits", [](Json& j) { j["batches"][0]["layers"][3]["bits"].erase(7); });
  check("microseconds", [](Json& j) { j["batches"][0]["layers"][3]["bits"][0]["microseconds"] = -1; });
  check("rest_microseconds", [](Json& j) { j["batches"][0]["rest_microseconds"] = "few"; });
  check("batches", [](Json& j) { j.erase("batches"); });
  write_file(scratch() / "torn_profile.json", file_text(file).substr(0, 500));
  refused({"rank", unbroken_search().string(), "--profile", (scratch() / "torn_profile.json").string()},
          "torn_profile.json");
  refused({"rank", unbroken_search().string(), "--profile", (scratch() / "nowhere.json").string()}, "nowhere.json");
}

TEST(Deploy, SearchByLatencyKeepsItsTimes) {
  const fs::path file = simple_profile("searched.json");
  const fs::path run = fresh("by_latency");
  const Words by = {"--by", "latency", "--max-latency", "2ms", "--max-drop", "100%"};
  const Words arguments = with_flag(search_arguments(run, by), "--budget", "4evals");
  refused(arguments, "kronbit profile");
  EXPECT_FALSE(fs::exists(run));
  kronbit_json(with_flag(arguments, "--profile", file.string()));

  // The run knows its times without the file.
  fs::remove(file);
  const Json rank = kronbit_json({"rank", run.string(), "--top", "1000000"});
  EXPECT_EQ(rank["by"], "latency");
  for (const Json& c : rank["candidates"]) {
    EXPECT_NEAR(c["milliseconds"].get<double>(), simple_milliseconds(c["bits"]), 1e-9);
    EXPECT_LE(c["milliseconds"], 2);
  }
  EXPECT_EQ(kronbit({"status", run.string()}).code, 0);
  EXPECT_EQ(kronbit({"report", run.string()}).code, 0);
  Words again = arguments;
  again.emplace_back("--resume");
  EXPECT_EQ(kronbit_json(again)["evaluations"], 4);
  refused(with_flag(again, "--profile", simple_profile("other.json", 2000).string()), "the run began with");
}

TEST(Deploy, RankTimesRivalsByTheProfileToo) {
  const fs::path file = simple_profile("rivals.json");
  const fs::path run = fresh("rivals");
  const Words choices = {"--choices", "2,4,8", "--fix", "conv1=8", "--no-baselines"};
  Words arguments = with_flag(with_flag(search_arguments(run, choices), "--budget", "1evals"), "--final-top", "0");
  kronbit_json(with_flag(arguments, "--probe", "0"));
  const Json rank = kronbit_json({"rank", run.string(), "--profile", file.string(), "--top", "1000000"});
  for (const char* rival : {"uniform", "reversed"}) {
    for (const Json& c : rank["candidates"]) EXPECT_NE(c["bits"], rank[rival]["bits"]) << "wanted no candidate";
    EXPECT_NEAR(rank[rival]["milliseconds"].get<double>(), simple_milliseconds(rank[rival]["bits"]), 1e-9) << rival;
  }
}

}  // namespace
}  // namespace kronbit::app
