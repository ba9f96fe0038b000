// Trainings of the real program: with the bits of a file, of no epochs, and in a folder that another left.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nn/models/models.h"
#include "nn/state_dict.h"
#include "quant/bits_file.h"
#include "quant/packed.h"
#include "search/journal.h"
#include "tensor/io/safetensors.h"
#include "tests/apps/program.h"

namespace kronbit::app {
namespace {

using ::testing::HasSubstr;

/// A toy10 with random weights. Made once.
const std::string& toy_weights() {
  static const std::string path = [] {
    nn::Network net = nn::build("toy10", {.classes = 10});
    net.initialize(7);
    const fs::path file = scratch() / "toy_weights.safetensors";
    nn::save_state_dict(net, file, {{"normalization", "0.5,0.5,0.5/0.25,0.25,0.25"}});
    return file.string();
  }();
  return path;
}

Words toy_data() { return words("--data synthetic:200 --validation train:20 --threads 1"); }

Words finetune(const fs::path& out, const std::string& bits, const std::string& epochs, const Words& more = {}) {
  Words all = words("finetune --net toy10 --batch 80",
                    {"--weights", toy_weights(), "--bits", bits, "--epochs", epochs, "--out", out.string()});
  const Words data = toy_data();
  all.insert(all.end(), data.begin(), data.end());
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

Words eval_arguments(const Words& more) {
  Words all = words("eval --net toy10", {"--weights", toy_weights()});
  const Words data = toy_data();
  all.insert(all.end(), data.begin(), data.end());
  all.insert(all.end(), more.begin(), more.end());
  return all;
}
Json eval(const Words& more) { return kronbit_json(eval_arguments(more)); }

/// A toy10 with random weights, that says `metadata` besides.
std::string toy_file(const std::string& name, const nn::ModelOptions& options,
                     const std::map<std::string, std::string>& metadata) {
  nn::Network net = nn::build("toy10", options);
  net.initialize(7);
  nn::save_state_dict(net, scratch() / name, metadata);
  return (scratch() / name).string();
}

quant::Assignment packed_assignment(const fs::path& model) { return quant::PackedNetwork::load(model).assignment(); }

TEST(Training, OfNoEpochsQuantizesOnly) {
  const fs::path run = fresh("no_epochs");
  const Json result = kronbit_json(finetune(run, "4", "0"));
  const Json direct = eval({"--bits", "4"}), validation = eval({"--bits", "4", "--split", "val"});
  EXPECT_EQ(result["test_top1"], direct["top1"]);
  EXPECT_EQ(result["val_top1"], validation["top1"]);
  EXPECT_EQ(packed_assignment(run / "best" / "model.safetensors").bits, Bits(10, 4));
  EXPECT_EQ(quant::read_bits_file(run / "best" / "bits.json", nn::build("toy10")).bits, Bits(10, 4));
  const Json status = kronbit_json({"status", run.string()});
  EXPECT_EQ(status["best_val_top1"], result["val_top1"]);
  EXPECT_EQ(status["fraction"], 1.0);
  const Json again = kronbit_json(finetune(run, "4", "0", {"--resume"}));
  for (const char* key : {"val_top1", "test_top1", "test_loss"}) EXPECT_EQ(again[key], result[key]) << key;
  EXPECT_EQ(kronbit({"report", run.string()}).code, 0);
  EXPECT_THAT(file_text(run / "report.html"), HasSubstr("after 0 epochs"));
}

TEST(Training, OfMoreClassesThanTheDataHas) {
  const fs::path fp32 = fresh("twelve"), run = fresh("twelve_bits");
  Words train = words("train --net toy10 --classes 12 --epochs 0 --out", {fp32.string()});
  const Words data = toy_data();
  train.insert(train.end(), data.begin(), data.end());
  kronbit_json(train);
  const std::string weights = (fp32 / "best" / "weights.safetensors").string();
  const Ended tuned = kronbit(with_flag(finetune(run, "4", "0"), "--weights", weights));
  EXPECT_EQ(tuned.code, 0);
  EXPECT_THAT(tuned.err, HasSubstr("12 classes, the data 10"));
  refused(with_flag(eval_arguments({}), "--weights", weights), "wanted the data's 10, got 12");
  EXPECT_EQ(quant::PackedNetwork::load(run / "best" / "model.safetensors").classes(), 12);
}

TEST(Training, WeightsWithoutTheirJournalAreKept) {
  const fs::path left = fresh("left"), weights = left / "best" / "weights.safetensors";
  kronbit_json(finetune(left, "4", "0"));
  fs::remove(left / search::kJournalName);
  const std::string before = file_text(weights);
  for (const Words& more : {Words{}, Words{"--resume"}}) {
    refused(finetune(left, "1", "0", more), "best/bits.json but no journal");
    EXPECT_EQ(file_text(weights), before);
    EXPECT_TRUE(search::read_journal(left).lines.empty());
  }
}

// synthetic calls its classes disc, ring, square, triangle, cross, frame, crescent, stripes, checks and dots.
TEST(Training, GoesOnWithTheKernelItBeganWith) {
  const fs::path run = fresh("kernels");
  const Words arguments = finetune(run, "4", "1", {"--precision", "fp32", "--kernel", "reference"});
  const Json result = kronbit_json(arguments);
  EXPECT_EQ(result["kernel"], "reference");
  const Words resume = finetune(run, "4", "1", {"--precision", "fp32", "--resume"});
  refused(with_flag(resume, "--kernel", "openblas"), "numerics.f32: \"reference\" in the run, \"openblas");
  EXPECT_EQ(kronbit_json(resume)["kernel"], "reference");

  // A run of before they were kept: its journal's first line without them, and with its own checksum.
  const search::JournalContent content = search::read_journal(run);
  Json first = content.lines[0];
  EXPECT_EQ(first["settings"]["numerics"]["f32"], "reference");
  fs::remove(run / search::kJournalName);
  first["settings"].erase("numerics");
  {
    search::Journal journal(run, search::read_journal(run));
    for (Json line : content.lines) {
      if (line["n"] == 0) line = first;
      for (const char* key : {"n", "crc"}) line.erase(key);
      journal.append(line);
    }
  }
  EXPECT_EQ(kronbit_json(with_flag(resume, "--kernel", "openblas"))["test_loss"], result["test_loss"]);
}

TEST(ClassNames, OfWeightsAndDataAreCompared) {
  const auto named = [](const std::string& file, const std::string& names) {
    return toy_file(file, {.classes = 10}, {{"normalization", "0.5,0.5,0.5/0.25,0.25,0.25"}, {"class_names", names}});
  };
  const std::string rest = R"("square","triangle","cross","frame","crescent","stripes","checks","dots"])";
  const std::string same = named("same.safetensors", R"(["disc","ring",)" + rest);
  const std::string reordered = named("reordered.safetensors", R"(["ring","disc",)" + rest);
  const std::string others = named("others.safetensors", R"(["disc","bird",)" + rest);
  const std::string made_up = named(
      "made_up.safetensors", R"(["class 0","class 1","class 2","class 3","class 4","class 5","class 6","class 7",)"
                             R"("class 8","class 9"])");
  const auto eval_of = [](const std::string& file) { return with_flag(eval_arguments({}), "--weights", file); };
  EXPECT_EQ(kronbit(eval_of(same)).code, 0);
  EXPECT_EQ(kronbit(eval_of(made_up)).code, 0);
  refused(eval_of(reordered),
          R"(class 0 is "ring" in the file, "disc" in the data: the same classes in another order)");
  refused(eval_of(others), R"(class 1 is "bird" in the file, "ring" in the data)");

  const fs::path run = fresh("named");
  refused(with_flag(finetune(run, "4", "0"), "--weights", reordered), "another order");
  EXPECT_FALSE(fs::exists(run));
  const Ended transfer = kronbit(with_flag(finetune(run, "4", "0"), "--weights", others));
  EXPECT_EQ(transfer.code, 0);
  EXPECT_THAT(transfer.err, HasSubstr(R"(class 1 is "bird" in the file)"));
  for (const char* command : {"sensitivity --net toy10 --probe 4", "search --net toy10 --dry-run"}) {
    Words all = words(command, {"--weights", reordered});
    const Words data = toy_data();
    all.insert(all.end(), data.begin(), data.end());
    refused(all, "another order");
  }

  const std::string model = (scratch() / "reordered_model.safetensors").string();
  kronbit_json(words("export --net toy10 --bits 4", {"--weights", reordered, "--out", model}));
  refused(eval_of(model), "another order");
  refused(words("verify --data synthetic:200 --images 2", {model}), "another order");
  EXPECT_EQ(kronbit(words("verify --images 2", {model})).code, 0) << "synthetic images stand for any";
}

TEST(InputSize, TravelsWithTheWeights) {
  const std::string weights = toy_file("large.safetensors", {.classes = 10, .input_size = 64}, {});
  const std::string model = (scratch() / "large_model.safetensors").string();
  const Words export_it = words("export --net toy10 --bits 4", {"--weights", weights, "--out", model});
  kronbit_json(export_it);
  EXPECT_EQ(quant::PackedNetwork::load(model).input_size(), 64);
  refused(with_flag(export_it, "--input-size", "32"), "--input-size] wanted 64 as " + weights);
  EXPECT_EQ(kronbit(with_flag(export_it, "--input-size", "64")).code, 0);
  const Words packed = with_flag(eval_arguments({}), "--weights", model);
  refused(with_flag(packed, "--input-size", "32"), "--input-size] wanted 64 as " + model);
  refused(with_flag(packed, "--classes", "5"), "--classes] wanted 10 as " + model);
  refused({"verify", model}, "--data] wanted images of 64 x 64 as " + model);
}

TEST(TrainedWeights, AreNotReadWithOtherDataByAccident) {
  const Words weights{"--weights", toy_weights()};
  refused(words("eval --net toy10", weights), "--data] wanted the images that " + toy_weights());
  refused(words("sensitivity --net toy10", weights), "--data] wanted");
  const fs::path run = fresh("no_data");
  for (const char* command : {"finetune --net toy10 --epochs 0 --bits 4", "train --net toy10 --epochs 0",
                              "search --net toy10 --budget 1evals"}) {
    Words all = words(command, weights);
    all.insert(all.end(), {"--out", run.string()});
    refused(all, "--data] wanted");
  }
  EXPECT_FALSE(fs::exists(run));
}

/// What another program might have written: the weights alone.
TEST(ForeignWeights, HaveAsManyClassesAsTheirHead) {
  const SafetensorsFile ours = SafetensorsFile::open(toy_file("seven.safetensors", {.classes = 7}, {}));
  SafetensorsWriter writer;
  writer.set_metadata("classes", "airplane,car");
  for (const TensorInfo& t : ours.tensors()) writer.add(t.name, t.dtype, t.shape, t.bytes);
  const fs::path file = scratch() / "foreign.safetensors", model = scratch() / "foreign_model.safetensors";
  writer.publish(file);
  kronbit_json(words("export --net toy10 --bits 4", {"--weights", file, "--out", model}));
  EXPECT_EQ(quant::PackedNetwork::load(model).classes(), 7);
  const Words eval_it = with_flag(eval_arguments({"--normalize", "imagenet"}), "--weights", file);
  refused(eval_it, "wanted the data's 10, got 7");
  refused(with_flag(eval_it, "--classes", "10"), "the file has 7 (--classes 7)");
}

TEST(BitsFile, SaysHowBitsAreMeant) {
  const fs::path file = scratch() / "meant.json";
  quant::write_bits_file(file, nn::build("toy10"), {Bits(10, 3), {.mode = quant::Mode::PaperFloor, .block = 16}});
  const std::string bits = "@" + file.string();
  const Words told = words("--bits 3 --mode paper-floor --block 16");

  const fs::path run = fresh("meant");
  kronbit_json(finetune(run, bits, "0"));
  const fs::path model = scratch() / "meant.safetensors";
  kronbit_json(words("export --net toy10", {"--weights", toy_weights(), "--bits", bits, "--out", model.string()}));
  for (const fs::path& packed : {run / "best" / "model.safetensors", model}) {
    EXPECT_EQ(packed_assignment(packed).options.mode, quant::Mode::PaperFloor) << packed;
    EXPECT_EQ(packed_assignment(packed).options.block, 16) << packed;
  }
  EXPECT_EQ(quant::read_bits_options(run / "best" / "bits.json").block, 16);
  EXPECT_EQ(eval({"--bits", bits})["loss"], eval(told)["loss"]);
  const Words size = {"size", "--net", "toy10"};
  Words by_file = size, by_flags = size;
  by_file.insert(by_file.end(), {"--bits", bits});
  by_flags.insert(by_flags.end(), told.begin(), told.end());
  EXPECT_EQ(kronbit_json(by_file)["bytes"], kronbit_json(by_flags)["bytes"]);

  // Flags may repeat the file, not contradict it.
  by_file.insert(by_file.end(), {"--block", "16", "--mode", "paper-floor"});
  EXPECT_EQ(kronbit(by_file).code, 0);
  refused(with_flag(by_file, "--block", "32"), "--block] wanted 16 as");
  refused(with_flag(by_file, "--mode", "signed-extreme"), "--mode] wanted paper-floor as");
}

TEST(Training, OfImagesThatDoNotFitIsRefusedBeforeAnythingIsMade) {
  const fs::path run = fresh("unfit");
  Words train = words("train --net toy10 --epochs 1 --out", {run.string()});
  const Words data = toy_data();
  train.insert(train.end(), data.begin(), data.end());
  refused(with_flag(train, "--classes", "5"), "wanted at least the data's 10, got 5");
  refused(with_flag(train, "--input-size", "64"), "wanted the data's 32 x 32, got 64 x 64");
  EXPECT_FALSE(fs::exists(run));
}

TEST(Training, ThatIsThereIsNamedBeforeAnythingIsRead) {
  const fs::path run = fresh("there");
  kronbit_json(finetune(run, "4", "0"));
  refused(with_flag(finetune(run, "4", "0"), "--data", "cifar10:/nowhere"), "holds a run already: add --resume");
}

}  // namespace
}  // namespace kronbit::app
