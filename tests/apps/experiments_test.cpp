// The experiments as their users run them: what they write, that they go on, and what they refuse. That all of them run
// to the end is the test paper_quick.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "apps/experiments/common/paper.h"
#include "nn/models/models.h"
#include "tests/apps/program.h"

namespace kronbit::app {
namespace {

using testing::HasSubstr;

Ended run(const std::string& name, const Words& arguments) {
  return kronbit(arguments, {.program = "experiments/" + name});
}

TEST(PaperTables, FitTheNetworksTheyAreAbout) {
  using namespace experiments;
  for (const auto* table : {&table1(), &table2()}) {
    for (const PaperNetwork& network : *table) {
      const auto layers = nn::conv_layers(nn::build(network.net));
      for (const PaperRow& row : network.rows) EXPECT_EQ(bits_of(row.bits, layers).size(), layers.size()) << row.bits;
    }
  }
  for (const ComparedNetwork& network : table3())
    for (const auto& side : network.sides)
      EXPECT_NO_THROW(bits_of(side.bits, nn::conv_layers(nn::build(network.net)))) << side.bits;
  for (const ImageNetRow& row : table4())
    EXPECT_NO_THROW(bits_of(row.bits, nn::conv_layers(nn::build(row.net)))) << row.bits;
}

TEST(PaperTables, GiveShortcutsTheBitsOfTheLayerBefore) {
  const auto layers = nn::conv_layers(nn::build("resnet18"));
  const Bits bits = experiments::bits_of("6 4 33 222 33333333 22", layers);
  ASSERT_EQ(bits.size(), layers.size());
  for (size_t i = 1; i < layers.size(); ++i) {
    if (layers[i].kernel_h != 1) continue;
    EXPECT_EQ(bits[i], bits[i - 1]) << layers[i].name;
  }
  EXPECT_THROW(experiments::bits_of("6 4 33 222 33333333 2", layers), InputError);
  EXPECT_EQ(experiments::bits_of("888 6 8 6 8 6 8 6 8 6 8 6 8 8", nn::conv_layers(nn::build("vgg16"))).size(), 13u);
}

TEST(Experiments, WriteTheirFiles) {
  const fs::path out = fresh("fig2");
  const Ended ended = run("fig2", {"--out", out.string()});
  EXPECT_EQ(ended.code, 0) << ended.err;
  for (const char* kind : {"json", "csv", "md"})
    EXPECT_FALSE(file_text(out / (std::string("fig2.") + kind)).empty()) << kind;
  if (has_gnuplot()) {
    EXPECT_THAT(file_text(out / "fig2.svg"), HasSubstr("xmlns=\"http://www.w3.org/2000/svg\""));
  }
}

TEST(Experiments, SayWhatTheyWouldRunAndRunNothing) {
  const fs::path out = fresh("dry");
  const Ended dry = run("table1", {"--out", out.string(), "--dry-run", "--net", "vgg16"});
  EXPECT_EQ(dry.code, 0) << dry.err;
  EXPECT_THAT(dry.out, HasSubstr("kronbit train --net vgg16"));
  EXPECT_FALSE(fs::exists(out));
  const Ended nothing = run("table1", {"--out", out.string(), "--no-run", "--net", "vgg16"});
  EXPECT_EQ(nothing.code, 0) << nothing.err;
  EXPECT_THAT(file_text(out / "table1.md"), HasSubstr("| vgg16 | floating point |"));
  EXPECT_FALSE(fs::exists(out / "runs"));
}

TEST(Experiments, GoOnAfterASignalAndEndAlike) {
  const auto arguments = [](const fs::path& out) {
    return Words{"--out", out.string(), "--epochs", "2", "--evaluations", "6", "--threads", "1"};
  };
  const fs::path whole = fresh("whole"), broken = fresh("broken");
  const Ended unbroken = run("fig4", arguments(whole));
  ASSERT_EQ(unbroken.code, 0) << unbroken.err;
  {
    Program program(arguments(broken), {.program = "experiments/fig4"});
    ASSERT_TRUE(program.wait_for_lines(broken / "runs/synthetic/toy10/fp32/journal.jsonl", 2));
    program.signal(SIGINT);
    const Ended ended = program.wait();
    EXPECT_EQ(ended.code, 130) << ended.err;
    EXPECT_FALSE(file_text(broken / "fig4.md").empty());
  }
  const Ended resumed = run("fig4", arguments(broken));
  EXPECT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_EQ(essence(broken / "runs/synthetic/toy10/search-line"), essence(whole / "runs/synthetic/toy10/search-line"));
  const Ended again = run("fig4", arguments(broken));
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(again.err, "");  // nothing was run
}

TEST(Experiments, RefuseWithOneLine) {
  const fs::path out = fresh("refused");
  const auto expect = [&](const std::string& name, const Words& arguments, const std::string& what) {
    const Ended ended = run(name, arguments);
    EXPECT_EQ(ended.code, 2) << ended.out << ended.err;
    EXPECT_EQ(ended.error_lines(), 1) << ended.err;
    EXPECT_THAT(ended.err, HasSubstr(what));
  };
  expect("table1", {"--preset", "huge"}, "--preset");
  expect("table1", {"--net", "vgg99", "--out", out.string()}, "vgg99");
  expect("table1", {"--net", "resnet20", "--out", out.string()}, "--net");
  expect("table1", {"--epochs", "many", "--out", out.string()}, "--epochs");
  expect("table1", {"--seeds", "0", "--out", out.string()}, "--seeds");
  fs::create_directories(out / "runs/synthetic/vgg16/fp32");
  write_file(out / "runs/synthetic/vgg16/fp32/result.json",
             R"({"command": "kronbit train --net other", "seconds": 1, "answer": {}})");
  expect("table1", {"--net", "vgg16", "--out", out.string()}, "choose another --out");
  write_file(out / "runs/synthetic/vgg16/fp32/result.json", "{");
  expect("table1", {"--net", "vgg16", "--out", out.string()}, "result.json");
}

TEST(Experiments, NameTheDataThatIsMissing) {
  const fs::path out = fresh("missing");
  const Ended ended = run("fig4", {"--preset", "paper", "--data", "cifar10:/nowhere", "--out", out.string()});
  EXPECT_EQ(ended.code, 2);
  EXPECT_THAT(ended.err, HasSubstr("/nowhere"));
}

}  // namespace
}  // namespace kronbit::app
