// The real program's results: JSON and nothing else on stdout, numbers of one subcommand against those of another.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <set>

#include "data/normalization.h"
#include "nn/models/models.h"
#include "nn/state_dict.h"
#include "quant/bits_file.h"
#include "quant/packed.h"
#include "tensor/io/safetensors.h"
#include "tests/apps/processes.h"
#include "tests/apps/program.h"
#include "tests/data/files.h"

namespace kronbit::app {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kBits = "666 5555 44444 33333 22";
constexpr const char* kNormalization = "0.5,0.5,0.5/0.25,0.25,0.25";

void expect_keys(const Json& json, const Words& keys) {
  for (const std::string& key : keys) EXPECT_TRUE(json.contains(key)) << key << " in " << json.dump();
}

fs::path packed_model() {
  const fs::path model = scratch() / "model.safetensors";
  const Json json = kronbit_json(
      words("export --net resnet20", {"--bits", kBits, "--weights", tiny_weights(), "--out", model.string()}));
  expect_keys(json, {"file", "bits", "conv_bytes", "file_bytes"});
  EXPECT_EQ(json["file_bytes"], fs::file_size(model));
  const Json size = kronbit_json({"size", "--net", "resnet20", "--bits", kBits, "--rule", "packed"});
  EXPECT_EQ(json["conv_bytes"], size["bytes"]);
  EXPECT_EQ(json["bits"], size["bits"]);
  return model;
}

/// The record's image (three planes of 32 x 32) as a PNG file.
std::string png(const std::string& planes) {
  std::string samples;
  for (size_t p = 0; p < 1024; ++p)
    for (size_t c = 0; c < 3; ++c) samples += planes[c * 1024 + p];
  return data::png(32, 32, 2, samples);
}

TEST(Program, SizeAndInfoInJson) {
  const Json size = kronbit_json(words("size --net vgg16 --bits 4 --rule paper"));
  expect_keys(size, {"bits", "total_bits", "weights", "bytes", "megabytes", "mebibytes", "percent_of_fp32", "bops"});
  EXPECT_EQ(size["total_bits"], 4 * 13);
  EXPECT_THAT(kronbit(words("size --net toy10 --bits 4 --layers")).out, HasSubstr("features.29"));
  const Json info = kronbit_json({"info"});
  expect_keys(info, {"version", "cpu", "features", "isa_level", "native_bf16", "threads", "kernels", "networks",
                     "openblas_core", "gpu", "gpu_kernels"});
  EXPECT_FALSE(info["gpu"]["name"].is_null() && info["gpu"]["note"].get<std::string>().empty());
  for (const char* type : {"f32", "bf16", "f64"}) {
    int used = 0;
    for (const Json& kernel : info["kernels"]) {
      const auto note = kernel["note"].get<std::string>();
      used += note.starts_with("in use") && note.find(type) != std::string::npos;
    }
    EXPECT_EQ(used, 1) << type;
  }
  EXPECT_THAT(kronbit({"--version"}).out, HasSubstr(info["version"].get<std::string>()));
  for (const char* command : {"", "info", "size", "train", "eval", "finetune", "search", "rank", "export", "run",
                              "profile", "verify", "status", "report"}) {
    const Ended help = kronbit(words(command, {"--help"}));
    EXPECT_EQ(help.code, 0) << command;
    EXPECT_GT(help.out.size(), 300u) << command;
    EXPECT_EQ(help.err, "") << command;
  }
}

TEST(Program, ExportVerifyEvalAndRunAgree) {
  const fs::path model = packed_model();
  const Words data = tiny_data();
  Words verify = words("verify --images 8", {model.string()});
  verify.insert(verify.end(), data.begin(), data.end());
  const Json verified = kronbit_json(verify);
  expect_keys(verified, {"ok", "images", "layer_difference", "worst_layer", "largest_difference", "relative_difference",
                         "same_class", "file_bytes", "rule_bytes"});
  EXPECT_EQ(verified["ok"], true);
  EXPECT_EQ(verified["images"], 8);

  const Json packed = kronbit_json(eval_arguments(model)),
             quantized = kronbit_json(eval_arguments(tiny_weights(), {"--bits", kBits}));
  expect_keys(packed, {"top1", "top5", "loss", "images", "images_per_second", "kernel", "bits"});
  EXPECT_EQ(packed["images"], 60);
  EXPECT_EQ(packed["bits"], quantized["bits"]);
  // Folding and rounded multipliers move a logit near a tie now and then.
  EXPECT_NEAR(packed["loss"].get<double>(), quantized["loss"].get<double>(), 0.02);
  EXPECT_NEAR(packed["top1"].get<double>(), quantized["top1"].get<double>(), 3.0 / 60);
  EXPECT_EQ(kronbit(eval_arguments(model, {"--bits", "4"})).code, 2);

  const std::string record = file_text(tiny_cifar() / "test_batch.bin").substr(1, 3072);
  write_file(scratch() / "image.png", png(record));
  const Json run = kronbit_json({"run", model.string(), (scratch() / "image.png").string()});
  Tensor image = Tensor::activation(32, 32, 1, 3);
  for (int64_t p = 0; p < 1024; ++p)
    for (int64_t c = 0; c < 3; ++c)
      image.row<float>(p)[c] =
          (static_cast<float>(static_cast<uint8_t>(record[static_cast<size_t>(c * 1024 + p)])) / 255 - 0.5f) / 0.25f;
  const std::vector<float> logits = quant::PackedNetwork::load(model).network().forward(image, {}).value().values();
  const auto most = std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float v : logits) sum += std::exp(static_cast<double>(v - *most));
  const Json& top = run["images"][0]["top5"];
  ASSERT_EQ(top.size(), 5u);
  EXPECT_EQ(top[0]["class"], most - logits.begin());
  EXPECT_NEAR(top[0]["probability"].get<double>(), 1 / sum, 1e-3);
}

TEST(Program, SearchRankAndStatusInJson) {
  const fs::path& run = unbroken_search();
  const Json again = kronbit_json(search_arguments(run, {"--resume"}));  // nothing is left to do
  expect_keys(again, {"evaluations", "fp32_top1", "finals", "verdict", "report"});
  EXPECT_EQ(again["evaluations"], 10);
  const Json rank = kronbit_json({"rank", run.string(), "--top", "3", "--out", (scratch() / "best.json").string()});
  ASSERT_EQ(rank["candidates"].size(), 3u);
  const Json front = kronbit_json({"rank", run.string(), "--front"});
  const Json all = kronbit_json({"rank", run.string(), "--top", "1000000"});
  EXPECT_GT(all["candidates"].size(), front["candidates"].size());
  const auto place = [](const Json& c) { return std::pair(c["bytes"].get<double>(), c["accuracy"].get<double>()); };
  std::set<std::pair<double, double>> unbeaten, listed;
  for (const Json& c : all["candidates"])
    if (std::none_of(all["candidates"].begin(), all["candidates"].end(), [&](const Json& other) {
          return place(other) != place(c) && place(other).first <= place(c).first &&
                 place(other).second >= place(c).second;
        }))
      unbeaten.insert(place(c));
  for (const Json& c : front["candidates"]) listed.insert(place(c));
  EXPECT_EQ(listed, unbeaten);
  EXPECT_EQ(place(front["candidates"][0]), *unbeaten.begin()) << "smallest first";
  EXPECT_EQ(front["verdict"], rank["verdict"]) << "the best one is the same";
  for (const Json& candidate : rank["candidates"])
    expect_keys(candidate, {"bits", "curve", "accuracy", "accuracy_sd", "effective", "bytes", "bops", "measured"});
  const Json status = kronbit_json({"status", run.string()});
  expect_keys(status, {"kind", "evaluations", "budget", "fraction", "failed", "eta_seconds", "best", "running"});
  EXPECT_EQ(status["running"], nullptr);
  EXPECT_EQ(status["evaluations"], 10);

  // The bits that rank wrote, back through --bits; another network does not take them.
  const std::string file = "@" + (scratch() / "best.json").string();
  const Json size = kronbit_json({"size", "--net", "resnet20", "--bits", file});
  EXPECT_EQ(size["bits"], rank["candidates"][0]["bits"]);
  EXPECT_EQ(size["bytes"], rank["candidates"][0]["bytes"]);
  EXPECT_EQ(kronbit({"size", "--net", "resnet32", "--bits", file}).code, 2);
  EXPECT_EQ(kronbit({"size", "--net", "vgg16", "--bits", file}).code, 2);
  // best/ as any packed network and any bits file.
  EXPECT_EQ(kronbit_json({"size", "--net", "resnet20", "--bits", "@" + (run / "best" / "bits.json").string()})["bytes"],
            quant::PackedNetwork::load(run / "best" / "model.safetensors").conv_bytes());
}

/// `packed_model()` with tensors changed.
fs::path changed_model(const std::string& name,
                       const std::function<void(const std::string&, std::vector<float>&)>& change,
                       bool normalization = true) {
  const SafetensorsFile file = SafetensorsFile::open(packed_model());
  SafetensorsWriter writer;
  for (const auto& [key, value] : file.metadata())
    if (key != "format" && (normalization || key != "normalization")) writer.set_metadata(key, value);
  for (const TensorInfo& t : file.tensors()) {
    std::vector<std::byte> bytes(t.bytes.begin(), t.bytes.end());
    if (t.dtype == StDType::F32) {
      std::vector<float> values(bytes.size() / sizeof(float));
      std::memcpy(values.data(), bytes.data(), bytes.size());
      change(t.name, values);
      std::memcpy(bytes.data(), values.data(), bytes.size());
    }
    writer.add(t.name, t.dtype, t.shape, bytes);
  }
  writer.publish(scratch() / name);
  return scratch() / name;
}

TEST(Program, SaysWhenOutputsAreNotFinite) {
  const fs::path model = changed_model("overflow.safetensors", [](const std::string& name, std::vector<float>& values) {
    if (name != "linear.weight") return;
    for (size_t i = 0; i < values.size(); ++i) values[i] = i % 2 == 0 ? 3e38f : -3e38f;
  });
  write_file(scratch() / "image.png", png(file_text(tiny_cifar() / "test_batch.bin").substr(1, 3072)));
  const Ended run = kronbit({"run", model.string(), (scratch() / "image.png").string(), "--json"});
  EXPECT_EQ(run.code, 1);
  EXPECT_EQ(run.out, "");
  EXPECT_THAT(run.err, HasSubstr("the outputs for " + (scratch() / "image.png").string() + " are not finite"));
  const Ended verify = kronbit({"verify", model.string(), "--images", "2", "--json"});
  EXPECT_EQ(verify.code, 1);
  EXPECT_THAT(verify.out, HasSubstr("\"ok\":false"));
}

TEST(Program, SaysWhenAPackedNetworkDoesNotKnowItsNormalization) {
  const fs::path model = changed_model(
      "silent_model.safetensors", [](const std::string&, std::vector<float>&) {}, false);
  EXPECT_THAT(kronbit(eval_arguments(model, {"--images", "2"})).err,
              HasSubstr("does not say how its pixels were normalized"));
  EXPECT_THAT(kronbit(words("verify --images 2", {model.string()})).err, HasSubstr("does not say"));
  EXPECT_THAT(kronbit(eval_arguments(packed_model(), {"--images", "2"})).err, Not(HasSubstr("does not say")));
}

TEST(Program, SaysWhenWeightsDoNotKnowTheirNormalization) {
  const fs::path weights = fresh("silent.safetensors");
  nn::Network net = nn::build("resnet20");
  net.initialize(1);
  nn::save_state_dict(net, weights);
  const Words few{"--images", "10"}, named{"--images", "10", "--normalize", "imagenet"};
  EXPECT_THAT(kronbit(eval_arguments(weights, few)).err, HasSubstr("--normalize"));
  EXPECT_THAT(kronbit(eval_arguments(weights, named)).err, Not(HasSubstr("--normalize")));
  EXPECT_THAT(kronbit(eval_arguments(tiny_weights(), few)).err, Not(HasSubstr("--normalize")));
}

TEST(Program, HelpShowsDefaults) {
  EXPECT_THAT(kronbit(words("search --help")).out, HasSubstr("=40evals"));
  EXPECT_THAT(kronbit(words("info resnet20")).out, HasSubstr("267696 weights"));
}

TEST(Program, DryRunReadsNoJournalOfTheWorkingFolder) {
  Surroundings elsewhere;
  elsewhere.folder = fresh("elsewhere");
  fs::create_directories(elsewhere.folder);
  write_file(elsewhere.folder / "journal.jsonl", "not ours");
  Words plan = words("search --net resnet20 --tasks 0,0.1 --probe 0 --dry-run", {"--weights", tiny_weights().string()});
  const Words data = tiny_data();
  plan.insert(plan.end(), data.begin(), data.end());
  EXPECT_EQ(kronbit(plan, elsewhere).code, 0);
}

TEST(Program, TriesOfAFileAreKeptAsBits) {
  const fs::path out = fresh("tries"), file = fresh("mine.json");
  nn::Network net = nn::build("resnet20");
  quant::assign_bits(net, parse_bits("4x18 3", 19), {});
  quant::write_bits_file(file, net, *quant::assignment_of(net));
  Words search = words("search --net resnet20 --tasks 0 --budget 1evals --final-top 0 --probe 0",
                       {"--weights", tiny_weights(), "--out", out, "--try", "@" + file.string()});
  const Words data = tiny_data();
  search.insert(search.end(), data.begin(), data.end());
  const Ended ended = kronbit(search);
  ASSERT_EQ(ended.code, 0) << ended.err;
  fs::remove(file);
  EXPECT_EQ(kronbit({"status", out.string()}).code, 0);
}

TEST(Program, ASignalEndsACommandThatHasNothingToSave) {
  Words images{"run", packed_model().string()};
  write_file(scratch() / "one.png", png(std::string(3072, 'x')));
  images.insert(images.end(), 20000, (scratch() / "one.png").string());
  Program program(images);
  program.run_for(0.3);
  program.signal(SIGTERM);
  EXPECT_EQ(program.wait().code, 143);
}

TEST(Program, DryRunWritesNothing) {
  const fs::path out = fresh("dry");
  const Json plan = kronbit_json(search_arguments(out, {"--dry-run"}));
  EXPECT_GT(plan["candidates"].get<int>(), 10);
  EXPECT_FALSE(plan["first_round"].empty());
  EXPECT_FALSE(fs::exists(out));
}

TEST(Program, EveryKernelGivesTheSameAccuracy) {
  const Json info = kronbit_json({"info"});
  std::map<std::string, Json> first;  // of each precision
  int supported = 0;
  for (const Json& kernel : info["kernels"]) {
    const auto name = kernel["name"].get<std::string>();
    const Words arguments = eval_arguments(tiny_weights(), {"--images", "20", "--kernel", name});
    if (!kernel["supported"].get<bool>()) {
      EXPECT_EQ(kronbit(arguments).code, 2) << name;
      continue;
    }
    EXPECT_EQ(kronbit_json(arguments)["kernel"], name);  // auto: a precision that it serves
    const auto types = kernel["types"].get<std::vector<std::string>>();
    for (const std::string precision : {"fp32", "bf16"}) {
      SCOPED_TRACE(name + " " + precision);
      Words with = arguments;
      with.insert(with.end(), {"--precision", precision});
      if (std::find(types.begin(), types.end(), precision == "fp32" ? "f32" : "bf16") == types.end()) {
        EXPECT_EQ(kronbit(with).code, 2);  // refused, not replaced by another
        continue;
      }
      ++supported;
      const Json json = kronbit_json(with);
      EXPECT_EQ(json["kernel"], name);
      EXPECT_EQ(json["precision"], precision);
      const Json& reference = first.try_emplace(precision, json).first->second;
      EXPECT_EQ(json["top1"], reference["top1"]);
      EXPECT_NEAR(json["loss"].get<double>(), reference["loss"].get<double>(), precision == "fp32" ? 1e-4 : 2e-2);
    }
  }
  EXPECT_GE(supported, 3);  // what every processor has: openblas f32, reference f32 and bf16
  EXPECT_NEAR(first["bf16"]["loss"].get<double>(), first["fp32"]["loss"].get<double>(), 0.1);
  const Ended unknown = kronbit(eval_arguments(tiny_weights(), {"--kernel", "avx9000"}));
  EXPECT_EQ(unknown.code, 2);
  EXPECT_THAT(unknown.err, HasSubstr("avx9000"));
}

TEST(Program, InstructionSetsCanBeLimited) {
  Surroundings limited, unknown;
  limited.environment = {{"KRONBIT_ISA", "baseline"}};
  unknown.environment = {{"KRONBIT_ISA", "avx9000"}};
  const Ended end = kronbit({"info", "--json"}, limited);
  ASSERT_EQ(end.code, 0) << end.err;
  const Json info = Json::parse(end.out);
  EXPECT_EQ(info["isa_level"], "baseline");
  EXPECT_EQ(info["features"], "sse2");
  for (const Json& kernel : info["kernels"]) {
    EXPECT_EQ(kernel["supported"], kernel["needs"] == "") << kernel;
    EXPECT_EQ(kernel["used"], kernel["needs"] == "") << kernel;
  }
  const Ended refused = kronbit({"info"}, unknown);
  EXPECT_EQ(refused.code, 2);
  EXPECT_EQ(refused.error_lines(), 1) << refused.err;
  EXPECT_THAT(refused.err, HasSubstr("wanted one of auto, baseline, avx2, avx512, avx512bf16, amx, got avx9000"));
}

}  // namespace
}  // namespace kronbit::app
