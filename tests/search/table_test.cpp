#include "search/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/search/fake_table.h"
#include "tests/tensor/message_of.h"

namespace kronbit::search {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::string kHead =
    "# network: fake\n# validation images: 100\n# test images: 50\n"
    "id,kind,bits,w,seed,epochs,validation_correct,validation_nll,validation_kl,test_correct,test_nll,train_loss,"
    "train_seconds,evaluation_seconds,bytes,bops,average_bits,status\n";

std::string row(const std::string& start, const std::string& correct, const std::string& status = "ok") {
  return start + "," + correct + ",0.5,0.25,40,0.5,,3,0.5,1000,2000,3.5," + status + "\n";
}

std::string complaint(const std::string& text) {
  return message_of([&] { parse_table(text, "t.csv"); });
}

TEST(Table, ReadsTrainingsThatPassedAllTasks) {
  const std::string text = kHead + row("7,free26,234,,1,1", "91") + row("7,free26,234,,1,0", "11") +
                           row("7,free26,234,,2,0", "12") +  // without its second task
                           row("3,linear,567,0.25 0.75,2,0", "50") + row("3,linear,567,0.25 0.75,2,1", "60") +
                           row("3,linear,567,0.25 0.75,1,0", "51") + row("3,linear,567,0.25 0.75,1,1", "61") +
                           row("9,linear,111,0 0,1,", "", "failed: why");
  const Table table = parse_table(text, "t.csv");
  EXPECT_EQ(table.head.at("network"), "fake");
  EXPECT_THAT(table.epochs, ElementsAre(0.0, 1.0));
  ASSERT_EQ(table.configurations.size(), 2u);
  EXPECT_EQ(table.trainings(), 3u);
  const Recorded& first = table.configurations[0];
  EXPECT_EQ(first.id, 3);
  EXPECT_THAT(first.w, ElementsAre(0.25, 0.75));
  EXPECT_EQ(first.cost.bytes, 1000.0);
  EXPECT_EQ(first.cost.bops, 2000.0);
  EXPECT_EQ(first.cost.average_bits, 3.5);
  ASSERT_EQ(first.trainings.size(), 2u);
  EXPECT_EQ(first.trainings[1].seed, 2);
  EXPECT_THAT(first.trainings[1].accuracy, ElementsAre(0.5, 0.6));
  EXPECT_THAT(first.trainings[1].test, ElementsAre(0.8, 0.8));
  EXPECT_THAT(first.trainings[1].kl, ElementsAre(0.25, 0.25));
  EXPECT_THAT(first.trainings[1].seconds, ElementsAre(3.5, 7.0));
  const Recorded& second = table.configurations[1];
  EXPECT_EQ(second.kind, "free26");
  EXPECT_THAT(second.bits, ElementsAre(2, 3, 4));
  EXPECT_TRUE(second.w.empty());
  EXPECT_THAT(table.median_seconds(), ElementsAre(3.5, 7.0));
}

TEST(Table, CanEndAtAnEarlierTask) {
  const std::string text = kHead + row("1,x,23,,1,0", "1") + row("1,x,23,,1,1", "2") + row("2,x,24,,1,0", "3");
  EXPECT_EQ(parse_table(text, "t.csv").configurations.size(), 1u);
  const Table table = parse_table(text, "t.csv", 0.5);
  EXPECT_THAT(table.epochs, ElementsAre(0.0));
  EXPECT_EQ(table.configurations.size(), 2u);
}

TEST(Table, BadLinesAreNamed) {
  const std::string good = row("1,x,23,,1,0", "1");
  EXPECT_THAT(complaint(""), HasSubstr("[t.csv] wanted a table"));
  EXPECT_THAT(complaint(kHead), HasSubstr("[t.csv] wanted trainings"));
  EXPECT_THAT(complaint("id,kind\n"), HasSubstr("[t.csv line 1]"));
  EXPECT_THAT(complaint(kHead.substr(kHead.find("# test"))), HasSubstr("[t.csv line 2] wanted the line `# validation"));
  EXPECT_THAT(complaint(kHead + good + "1,2,3\n"), HasSubstr("[t.csv line 6] columns: wanted 18, got 3"));
  EXPECT_THAT(complaint(kHead + row("1,x,29,,1,0", "1")), HasSubstr("[t.csv line 5] bits"));
  EXPECT_THAT(complaint(kHead + row("1,x,23,1.5,1,0", "1")), HasSubstr("[t.csv line 5 w]"));
  EXPECT_THAT(complaint(kHead + row("1,x,23,,1,0", "101")), HasSubstr("[t.csv line 5 validation_correct]"));
  EXPECT_THAT(complaint(kHead + row("1,x,23,,1,zero", "1")), HasSubstr("[t.csv line 5 epochs]"));
  EXPECT_THAT(complaint(kHead + good + good), HasSubstr("[t.csv line 6] wanted every task of a training once"));
  EXPECT_THAT(complaint(kHead + good + row("1,x,24,,2,0", "1")), HasSubstr("[t.csv line 6] bits: wanted those of"));
  EXPECT_THAT(complaint(kHead + good + row("2,x,23,,1,0", "1")), HasSubstr("[t.csv] id 2: wanted other bits"));
  EXPECT_THAT(complaint(kHead + good + row("2,x,234,,1,0", "1")), HasSubstr("[t.csv line 6] bits: wanted as many"));
  EXPECT_THAT(complaint(kHead + good + "2,x"), HasSubstr("[t.csv line 6] wanted a whole line"));
}

TEST(Table, OfAFormulaIsReadBack) {
  const Table table = parse_table(fake_table({.configurations = 30, .seeds = 2}), "fake");
  EXPECT_EQ(table.configurations.size(), 30u);
  EXPECT_EQ(table.trainings(), 60u);
  EXPECT_THAT(table.epochs, ElementsAre(0.0, 0.25, 1.0));
}

}  // namespace
}  // namespace kronbit::search
