// --device: training, search and inference with the kernels of GPUs, on the simulated one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "search/journal.h"
#include "tensor/cuda/device.h"
#include "tests/apps/program.h"

namespace kronbit::app {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

/// Few images: a simulated GPU is slow.
Words tiny(const std::string& command, const fs::path& out, const std::string& device) {
  return {command, "--net",   "toy10", "--data", "synthetic:50", "--validation", "train:2", "--epochs",
          "0.1",   "--batch", "2",     "--out",  out.string(),   "--device",     device};
}

/// A network that the simulated GPU has trained for two steps and fine-tuned to 3 bits for two.
const fs::path& tuned() {
  static const fs::path run = [] {
    const fs::path trained = fresh("device-trained"), folder = fresh("device-tuned");
    const Ended end = kronbit(tiny("train", trained, "simulated"));
    EXPECT_EQ(end.code, 0) << end.err;
    Words finetune = tiny("finetune", folder, "simulated");
    finetune.insert(finetune.end(),
                    {"--weights", (trained / "best/weights.safetensors").string(), "--bits", "3", "--json"});
    const Json result = kronbit_json(finetune);
    EXPECT_EQ(result["device"], "simulated");
    EXPECT_EQ(result["kernel"], "conv-simulated");
    EXPECT_EQ(result["precision"], "bf16");
    EXPECT_EQ(result["steps"], 2);
    return folder;
  }();
  return run;
}

TEST(OnADevice, APackedNetworkGivesTheNumbersOfTheProcessor) {
  const auto eval = [](const std::string& device) {
    return kronbit_json({"eval", "--net", "toy10", "--weights", (tuned() / "best/model.safetensors").string(), "--data",
                         "synthetic:50", "--images", "3", "--exact", "--device", device, "--json"});
  };
  const Json here = eval("cpu"), there = eval("simulated");
  EXPECT_EQ(here["loss"], there["loss"]);
  EXPECT_EQ(here["top5"], there["top5"]);
  EXPECT_THAT(there["kernel"].get<std::string>(), HasSubstr("-cuda"));
}

TEST(OnADevice, WeightsAreEvaluatedThere) {
  const auto eval = [](const Words& more) {
    Words words = {"eval",   "--net",        "toy10",    "--weights", (tuned() / "best/weights.safetensors").string(),
                   "--data", "synthetic:50", "--images", "3",         "--precision",
                   "bf16",   "--json"};
    words.insert(words.end(), more.begin(), more.end());
    return kronbit_json(words);
  };
  for (const Words& bits : {Words{}, Words{"--bits", "4"}}) {
    Words there = bits;
    there.insert(there.end(), {"--device", "simulated"});
    const Json a = eval(bits), b = eval(there);
    EXPECT_NEAR(a["loss"].get<double>(), b["loss"].get<double>(), 0.02);
    EXPECT_EQ(b["device"], "simulated");
    EXPECT_EQ(b["kernel"], "conv-simulated");
  }
}

TEST(OnADevice, ARunStaysWhereItBegan) {
  Words resume = tiny("finetune", tuned(), "cpu");
  const fs::path weights = scratch() / "device-trained" / "best" / "weights.safetensors";
  resume.insert(resume.end(), {"--weights", weights.string(), "--bits", "3", "--resume"});
  refused(resume, R"(device: "simulated" in the run)");
  const search::JournalContent journal = search::read_journal(tuned());
  EXPECT_EQ(journal.lines[0]["settings"]["device"], "simulated");
}

TEST(OnADevice, ASearchEvaluatesThere) {
  const fs::path run = fresh("device-search");
  const Ended end = kronbit({"search",
                             "--net",
                             "toy10",
                             "--weights",
                             (tuned() / "best/weights.safetensors").string(),
                             "--data",
                             "synthetic:50",
                             "--validation",
                             "train:2",
                             "--tasks",
                             "0,0.05",
                             "--batch",
                             "2",
                             "--budget",
                             "2evals",
                             "--final-top",
                             "0",
                             "--probe",
                             "4",
                             "--device",
                             "simulated",
                             "--quiet",
                             "--out",
                             run.string()});
  EXPECT_EQ(end.code, 0) << end.err;
  const search::JournalContent journal = search::read_journal(run);
  EXPECT_EQ(journal.lines[0]["settings"]["device"], "simulated");
  EXPECT_EQ(kronbit({"rank", run.string()}).code, 0);
}

TEST(OnADevice, IsRefusedInOneLine) {
  const auto refused = [](const std::string& device, const Words& more) {
    Words words = tiny("train", fresh("device-refused"), device);
    words.insert(words.end(), more.begin(), more.end());
    return kronbit(words);
  };
  const Ended unknown = refused("abacus", {});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_EQ(unknown.err, "kronbit: [--device] wanted cpu, cuda or simulated, got \"abacus\"\n");
  const Ended fp32 = refused("simulated", {"--precision", "fp32"});
  EXPECT_EQ(fp32.code, 2);
  EXPECT_THAT(fp32.err, HasSubstr("[--precision] wanted bf16 with --device simulated, got fp32"));
  const Ended adam = refused("simulated", {"--optimiser", "adam"});
  EXPECT_EQ(adam.code, 2);
  EXPECT_THAT(adam.err, HasSubstr("wanted sgd on a GPU, got adam"));
  std::string why;
  if (open_cuda_device(why)) GTEST_SKIP() << "there is a GPU here";
  const Ended none = refused("cuda", {});
  EXPECT_EQ(none.code, 1);
  EXPECT_EQ(none.error_lines(), 1);
  EXPECT_THAT(none.err, StartsWith("kronbit: [--device] cuda: " + why));
  const fs::path run = fresh("no-gpu");
  const Ended search = kronbit(search_arguments(run, {"--device", "cuda"}));
  EXPECT_EQ(search.code, 1);
  EXPECT_EQ(search.err, none.err) << "evaluations were tried";
  EXPECT_FALSE(fs::exists(run));
}

}  // namespace
}  // namespace kronbit::app
