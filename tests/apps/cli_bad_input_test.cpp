// Wrong input to the real program: exit code 2, one line on stderr that says what and where, nothing on stdout, nothing
// written.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>

#include "tensor/io/safetensors.h"
#include "tests/apps/program.h"

namespace kronbit::app {
namespace {

/// As messages of the library name it: without dashes.
std::string bare(const std::string& flag) {
  if (flag == "--kernel") return "variant";
  return flag == "--final-schedule" ? "schedule" : flag.substr(2);
}

fs::path no_run() { return scratch() / "refused"; }  // must never come to be

Words eval(const Words& more = {}) {
  Words all = words("eval --net resnet20 --threads 1", {"--weights", tiny_weights().string()});
  all.insert(all.end(), more.begin(), more.end());
  return all;
}
Words eval_tiny(const Words& more) {
  Words all = eval({"--data", "cifar10:" + tiny_cifar().string(), "--validation", "train:20"});
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

class BadInput : public testing::Test {
 protected:
  void TearDown() override { EXPECT_FALSE(fs::exists(no_run())); }
};

// A weights file of which the header says something else.
std::string with_header(const std::string& header, const std::string& body) {
  uint64_t size = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &size, 8);
  return bytes + header + body;
}

TEST_F(BadInput, WeightsFiles) {
  const std::string good = file_text(tiny_weights());
  uint64_t size = 0;
  std::memcpy(&size, good.data(), 8);
  const Json header = Json::parse(good.substr(8, size));
  const std::string body = good.substr(8 + size);
  const auto check = [&](const char* name, const std::string& bytes, const std::string& mentions = "") {
    const fs::path path = scratch() / (std::string(name) + ".safetensors");
    write_file(path, bytes);
    const Words arguments = words("eval --net resnet20", {"--weights", path.string()});
    refused(arguments, mentions.empty() ? "kronbit: [" + path.string() : mentions);  // a good file lacks --data
  };
  const auto changed = [&](const auto& change) {
    Json h = header;
    change(h);
    return with_header(h.dump(), body);
  };
  check("empty", "");
  check("four_bytes", good.substr(0, 4));
  check("truncated_header", good.substr(0, 500));
  check("truncated_body", good.substr(0, good.size() - 1));
  check("longer", good + "x");
  check("header_of_2_63", with_header("{}", "").replace(0, 8, "\xff\xff\xff\xff\xff\xff\xff\x7f"));
  check("header_of_2_64", with_header("{}", "").replace(0, 8, "\xff\xff\xff\xff\xff\xff\xff\xff"));
  check("not_json", with_header("{\"a\":", body));
  check("not_an_object", with_header("[]", body));
  check("overlapping", changed([](Json& h) {
          h["layer1.0.conv1.weight"]["data_offsets"] = h["layer1.0.conv2.weight"]["data_offsets"];  // of the same size
        }));
  check("beyond", changed([](Json& h) { h["conv1.weight"]["data_offsets"] = {1000000000000, 1000000001728}; }));
  check("negative", changed([](Json& h) { h["conv1.weight"]["shape"] = {-1, 3, 3, 3}; }));
  check("overflow", changed([](Json& h) { h["conv1.weight"]["shape"] = {int64_t{1} << 40, int64_t{1} << 40, 3, 3}; }));
  check("no_such_type", changed([](Json& h) { h["conv1.weight"]["dtype"] = "F33"; }));
  check("misshaped", changed([](Json& h) { h["conv1.weight"]["shape"] = {3, 16, 3, 3}; }), "conv1.weight");
  check("of_another_network", changed([](Json& h) { h["__metadata__"]["network"] = "resnet32"; }), "resnet32");
  std::string nan = good;
  std::memcpy(nan.data() + 8 + size, "\0\0\xc0\x7f", 4);
  check("nan", nan, "finite");
  const fs::path path = scratch() / "missing_tensor.safetensors";
  SafetensorsWriter writer;
  const SafetensorsFile file = SafetensorsFile::open(tiny_weights());
  for (const TensorInfo& t : file.tensors())
    if (t.name != "layer2.1.bn2.bias" && t.name != "linear.bias") writer.add(t.name, t.dtype, t.shape, t.bytes);
  writer.publish(path);
  refused(words("eval --net resnet20", {"--weights", path.string()}), "layer2.1.bn2.bias");
  refused(words("eval --net resnet20", {"--weights", path.string()}), "linear.bias");
  refused(words("eval --net resnet32", {"--weights", tiny_weights().string()}), "resnet20");
  refused(words("eval --net vgg11", {"--weights", path.string()}), "vgg11");
}

TEST_F(BadInput, WeightsThatAreNoFiles) {
  const fs::path fifo = scratch() / "fifo";
  mkfifo(fifo.c_str(), 0600);
  for (const std::string& path : {(scratch() / "nowhere").string(), scratch().string(), fifo.string(),
                                  std::string("/dev/zero"), std::string("/dev/null"), std::string()}) {
    refused(words("eval --net resnet20 --weights=" + path), path.empty() ? "--weights: " : "kronbit: [" + path);
    refused({"verify", path}, path);
    refused({"run", path, "a.png"}, path);
  }
  refused({"verify", tiny_weights().string()}, "weights.safetensors");  // not packed
  refused(words("export --net resnet20 --bits 4 --weights nowhere --out", {no_run().string()}), "nowhere");
}

TEST_F(BadInput, Bits) {
  const Words wrong = {"666",
                       "0 555 44 333 22 11",
                       "4x18",
                       "4x20",
                       "9",
                       "0",
                       "4.5",
                       "-1",
                       "x",
                       "44444 9 4x13",
                       "4x",
                       "4x99999999999999999999",
                       "@nowhere.json",
                       "@" + tiny_weights().string()};
  for (const std::string& bits : wrong) {
    refused({"size", "--net", "resnet20", "--bits", bits}, bits[0] == '@' ? bits.substr(1) : "bit");
  }
  refused(eval_tiny({"--bits", "666"}), "19");
  refused({"export", "--net", "resnet20", "--bits", "3x20", "--weights", tiny_weights(), "--out", no_run()}, "19");
  // A bits.json of another network.
  write_file(
      scratch() / "bits.json",
      R"({"schema":"kronbit.bits/1","network":"vgg11","mode":"signed-extreme","block":32,"activations":true,"layers":[{"name":"a","bits":4}]})");
  refused({"size", "--net", "resnet20", "--bits", "@" + (scratch() / "bits.json").string()}, "bits.json");
}

TEST_F(BadInput, Data) {
  const auto check = [&](const char* name, const auto& change, const std::string& mentions) {
    const fs::path folder = scratch() / name;
    fs::copy(tiny_cifar(), folder);
    change(folder);
    refused(eval({"--data", "cifar10:" + folder.string(), "--validation", "train:20"}), mentions);
    fs::remove_all(folder);
  };
  const auto cut = [](const fs::path& file, size_t bytes) {
    const std::string all = file_text(file);
    write_file(file, all.substr(0, all.size() - bytes));
  };
  check(
      "short_record", [&](const fs::path& f) { cut(f / "data_batch_3.bin", 73); }, "data_batch_3.bin");
  check(
      "short_test", [&](const fs::path& f) { cut(f / "test_batch.bin", 1); }, "test_batch.bin");
  check(
      "no_bytes", [&](const fs::path& f) { write_file(f / "data_batch_5.bin", ""); }, "data_batch_5.bin");
  check(
      "no_batch", [&](const fs::path& f) { fs::remove(f / "data_batch_2.bin"); }, "data_batch_2.bin");
  check(
      "label",
      [&](const fs::path& f) {
        std::string bytes = file_text(f / "data_batch_4.bin");
        bytes[3073 * 7] = 10;
        write_file(f / "data_batch_4.bin", bytes);
      },
      "record 7");
  fs::create_directories(scratch() / "nothing");
  const std::string nothing = (scratch() / "nothing").string();
  for (const char* kind : {"cifar10:", "cifar100:", "imagenet32:", "folder:"}) {
    refused(eval({"--data", kind + nothing}), nothing);
    refused(eval({"--data", kind + nothing + "/nowhere"}), "nowhere");
  }
  refused(eval({"--data", "mnist:" + nothing}), "mnist");
  refused(eval({"--data", "cifar100:" + tiny_cifar().string()}), "cifar10");
  refused(eval({"--data", ""}), "--data");
  refused(words("train --net toy10 --epochs 0 --out", {no_run().string(), "--data", ""}), "--data");
}

TEST_F(BadInput, ValuesOfFlags) {
  for (const char* flag : {"--split", "--precision", "--color", "--validation", "--normalize", "--kernel", "--threads",
                           "--batch", "--images", "--data-seed", "--classes"}) {
    refused(with_flag(eval_tiny({}), flag, "wrong"), bare(flag));
  }
  const std::string bytes = "123.7,116.3,103.5/58.4,57.1,57.4";  // of pixels from 0 to 255
  refused(eval_tiny({"--normalize", bytes}), "--normalize] wanted means of pixels scaled to 0..1");
  refused(
      words("export --net resnet20 --bits 4 --normalize " + bytes, {"--weights", tiny_weights(), "--out", no_run()}),
      "divide");
  for (const char* flag : {"--mode", "--block"}) refused(eval_tiny({"--bits", "4", flag, "wrong"}), bare(flag));
  for (const char* value : {"train:0", "train:300", "test:0", "test:60", "train:-1", "test:", "val:5"})
    refused(with_flag(eval_tiny({}), "--validation", value), "[validation] ");
  for (const char* value : {"-1", "0", "nan", "1e3", "010", " 4", "99999999999999999999"})
    refused(with_flag(eval_tiny({}), "--threads", value), "[--threads] wanted a whole number");
  refused(eval_tiny({"--image-size", "16"}), "[--image-size] wanted with --data folder:DIR only, got --data cifar10:");
  for (const char* flag : {"--tasks",        "--curve",
                           "--cost",         "--budget",
                           "--optimiser",    "--lr",
                           "--momentum",     "--batch",
                           "--by",           "--k",
                           "--max-size",     "--max-drop",
                           "--min-accuracy", "--max-avg-bits",
                           "--max-bops",     "--fix",
                           "--tie",          "--try",
                           "--bits-min",     "--bits-max",
                           "--seed",         "--mode",
                           "--workers",      "--final-top",
                           "--final-epochs", "--final-schedule",
                           "--final-seeds",  "--weight-decay",
                           "--precision",    "--validation",
                           "--strategy",     "--model",
                           "--choices",      "--probe",
                           "--replicates",   "--deadline",
                           "--warp",         "--observe",
                           "--covariance"}) {
    refused(with_flag(search_arguments(no_run()), flag, "wrong"), std::string(flag) == "--try" ? "bit" : bare(flag));
  }
  for (const auto& [flag, value] : {std::pair{"--budget", "-3evals"},
                                    {"--budget", "0evals"},
                                    {"--budget", "1e999h"},
                                    {"--budget", "nanmin"},
                                    {"--curve", "spline:3"},
                                    {"--curve", "bezier:0"},
                                    {"--curve", "bezier:999"},
                                    {"--tasks", "1,0"},
                                    {"--tasks", "0,0"},
                                    {"--tasks", "-1"},
                                    {"--tasks", "nan"},
                                    {"--cost", "1"},
                                    {"--cost", "1,2,3"},
                                    {"--cost", "5,4"},
                                    {"--device", "abacus"},
                                    {"--choices", "2,9"},
                                    {"--choices", "2,,4"},
                                    {"--probe", "-1"},
                                    {"--replicates", "0"},
                                    {"--max-size", "0KB"}}) {
    refused(with_flag(search_arguments(no_run()), flag, value), bare(flag));
  }
  refused(with_flag(search_arguments(no_run(), {"--model", "error"}), "--probe", "0"), "--probe");
  refused(search_arguments(no_run(), {"--choices", "2,4", "--bits-min", "5"}), "choices");
  Words train = words("train --net resnet20 --out", {no_run().string()});
  const Words data = tiny_data();
  train.insert(train.end(), data.begin(), data.end());
  for (const char* flag : {"--epochs", "--schedule", "--optimiser", "--lr", "--clip", "--smoothing", "--seed"}) {
    refused(with_flag(with_flag(train, "--epochs", "1"), flag, "wrong"), bare(flag));
  }
  refused(words("size --net resnet20 --bits 4 --rule wrong"), "rule");
  refused(words("size --net resnet20 --bits 4 --multipliers wrong"), "multipliers");
  refused(words("size --net resnet20 --bits 4 --mode wrong"), "mode");
  refused(words("size --net resnet20 --bits 4 --block wrong"), "--block");
  refused(words("size --net nosuchnet --bits 4"), "nosuchnet");
  refused(words("export --net resnet20 --bits 4 --multipliers wrong", {"--weights", tiny_weights(), "--out", no_run()}),
          "multiplier");
}

TEST_F(BadInput, CommandLines) {
  refused({}, "subcommand");
  refused({"frobnicate"}, "unknown subcommand \"frobnicate\" (see kronbit --help)");
  refused(words("serch --net resnet20"), "unknown subcommand \"serch\" (did you mean search?) (see kronbit --help)");
  refused(words("size --net resnet20 --bit 3"),
          "unknown option --bit (did you mean --bits?) (see kronbit size --help)");
  refused(words("size -net resnet20 --bits=3"), "unknown option -net (did you mean --net?)");
  refused(words("rank --max_size=3MB"), "unknown option --max_size (did you mean --max-size?)");
  refused(words("--thread 2 info"), "unknown option --thread before info (see kronbit info --help)");
  refused(words("size --net resnet20 --bits 4 --frob"), "unknown option --frob (see kronbit size --help)");
  refused(words("size --net resnet20 --bits 4 more"), "more");
  refused(words("size --net resnet20"), "--bits");
  refused(words("size --bits 4"), "--net");
  refused(words("size --bits"), "--bits");
  refused(words("train --net resnet20 --epochs 1"), "--out");
  refused({"size", "--net", "resnet20", "--bits", "4\nkronbit: \x1b[31mred"}, "bit");
  refused({"rank"}, "RUN");
  for (const char* limit : {"50", "0s", "3h 50m", "soon"})
    refused(words("train --net resnet20 --epochs 1 --out", {no_run().string(), "--time-limit", limit}), "--time-limit");
  for (const char* command : {"rank", "status", "report"}) {
    refused({command, (scratch() / "nowhere").string()}, "nowhere");
    refused({command, tiny_cifar().string()}, "cifar");
    refused({command, tiny_weights().string()}, "weights");
  }
}

TEST_F(BadInput, PlacesThatCannotBeWritten) {
  const fs::path file = scratch() / "a_file";
  write_file(file, "mine");
  const Words data = tiny_data();
  for (const std::string& out : {std::string("/proc/nope"), file.string(), (file / "run").string(), std::string()}) {
    Words train = words("train --net resnet20 --epochs 1", {"--out", out});
    train.insert(train.end(), data.begin(), data.end());
    Words tune = words("finetune --net resnet20 --epochs 1 --bits 4", {"--out", out, "--weights", tiny_weights()});
    tune.insert(tune.end(), data.begin(), data.end());
    const std::string mentions = out.empty() ? "wanted a" : out;
    refused(train, mentions);
    refused(tune, mentions);
    refused(search_arguments(out), mentions);
  }
  for (const std::string& out : {std::string("/proc/nope/m"), (file / "m").string(), scratch().string()}) {
    refused({"export", "--net", "resnet20", "--bits", "4", "--weights", tiny_weights(), "--out", out}, out);
  }
  EXPECT_EQ(file_text(file), "mine");
}

// Renaming a file over a device, a pipe or the weights themselves would destroy them.
TEST_F(BadInput, PlacesThatAreSomethingElse) {
  const fs::path pipe = scratch() / "a_pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  const auto weights = file_text(tiny_weights());
  for (const std::string& out : {pipe.string(), tiny_weights().string()})
    refused({"export", "--net", "resnet20", "--bits", "4", "--weights", tiny_weights(), "--out", out}, out);
  EXPECT_TRUE(fs::is_fifo(pipe));
  EXPECT_EQ(file_text(tiny_weights()), weights);
}

// What a shell makes of a variable that was never set.
TEST_F(BadInput, EmptyTexts) {
  refused(words("eval --net resnet20", {"--weights", ""}), "--weights");
  refused(words("export --net resnet20 --bits 4 --out", {no_run().string(), "--weights", ""}), "--weights");
  refused(eval_tiny({"--bits", ""}), "--bits");
  refused(words("finetune --net resnet20 --epochs 1 --out",
                {no_run().string(), "--weights", tiny_weights().string(), "--bits", ""}),
          "--bits");
}

TEST_F(BadInput, FoldersThatLeadNowhere) {
  const fs::path loop = scratch() / "loop";
  fs::create_symlink("loop", loop);
  refused(eval({"--data", "cifar10:" + loop.string()}), "loop");
  refused(eval({"--data", "folder:" + loop.string()}), "loop");
  refused({"status", (scratch() / std::string(300, 'x')).string()}, "name too long");
}

TEST_F(BadInput, KernelsWhereNoneCanBeChosen) {
  refused(eval_tiny({"--device", "simulated", "--kernel", "avx2"}), "--kernel");
}

}  // namespace
}  // namespace kronbit::app
