// The options of a search: to the command that makes it again and back, and taken from a journal.
#include "apps/kronbit/search/search_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "apps/kronbit/made_by.h"
#include "apps/kronbit/search/run_view.h"
#include "apps/kronbit/workers/words.h"
#include "search/journal.h"
#include "tests/apps/program.h"
#include "tests/tensor/message_of.h"

namespace kronbit::app {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

/// A command line as the subcommand sees it.
struct Parsed {
  CLI::App app;
  SearchOptions options;
  explicit Parsed(Words given) {
    add_search_options(&app, options);
    std::reverse(given.begin(), given.end());  // as CLI11 wants it
    app.parse(given);
  }
};

TEST(ShellWord, IsReadBackAsOneWord) {
  for (const std::string word : {"plain-1.0/a:b", "", "two words", "it's", "$HOME `x` \"y\" \\", "*"})
    EXPECT_THAT(split_words("a " + shell_word(word) + " b", "test"), ElementsAre("a", word, "b")) << shell_word(word);
  EXPECT_EQ(shell_word("plain-1.0/a:b"), "plain-1.0/a:b");
}

TEST(SearchCommand, HasEveryOptionThatWasGiven) {
  SearchOptions nothing;
  CLI::App all;
  add_search_options(&all, nothing);
  Words given = {"--out", "some where"};
  for (const CLI::Option* option : all.get_options()) {
    const std::string name = option->get_name();
    if (name == "--help" || name == "--out" || name == "--resume" || name == "--dry-run") continue;
    given.push_back(name);
    const int values = option->get_items_expected_max();
    if (values == 1) given.push_back("it's " + name.substr(2));
    if (values > 1) given.insert(given.end(), {"one of " + name.substr(2), name, "another"});
  }
  const Parsed first(given);
  const Words command = split_words(command_text(first.options), "test");
  ASSERT_THAT(Words(command.begin(), command.begin() + 2), ElementsAre("kronbit", "search"));
  const Parsed again(Words(command.begin() + 2, command.end()));
  for (const CLI::Option* option : first.app.get_options())
    EXPECT_EQ(again.app.get_option(option->get_name())->results(), option->results()) << option->get_name();
}

TEST(SearchCommand, IsShortWhereMostIsAsUsual) {
  SearchOptions o = Parsed(words("--net resnet20 --weights w --lr 0.005 --budget 40evals --out there")).options;
  EXPECT_EQ(command_text(o), "kronbit search --net resnet20 --weights w --budget 40evals --out there");
  o.kernel = "reference";
  EXPECT_THAT(command_text(o), HasSubstr(" --kernel reference "));
}

/// The first line of a search with these options.
Json first_line(const SearchOptions& o) {
  SearchSettings settings = o.settings;
  settings.classes = 10;
  Json line = {{"event", "settings"}, {"budget", {{"seconds", 5400.0}}}, {"settings", to_json(settings)}};
  line.update(notes_of(o));
  return line;
}

TEST(OptionsOfARun, AreThoseOfItsJournal) {
  SearchOptions o =
      Parsed(words("--net resnet20 --weights /w --lr 0.1 --fix a=1 --fix b=2 --refine --budget 90min "
                   "--max-latency 2ms --profile /p.json --final-top 0 --final-seeds 4 --workers 7 --out x"))
          .options;
  o.kernel = "avx2";
  const Json began = first_line(o);
  const SearchOptions run = options_of_run({began}, "x");
  EXPECT_EQ(first_line(run), began);
  EXPECT_EQ(run.budget, "5400s");
  EXPECT_EQ(run.workers, "1") << "those of a machine are not the run's";
  EXPECT_EQ(run.kernel, "avx2");
  EXPECT_EQ(run.settings.wish.profile, "/p.json");

  const Json grown = {{"event", "budget"}, {"budget", {{"seconds", 7200.0}}}};
  SearchOptions others = o;
  others.final_seeds = "5";
  Json resumed = {{"event", "resumed"}};
  resumed.update(notes_of(others));
  const SearchOptions later = options_of_run({began, resumed, grown}, "x");
  EXPECT_EQ(later.budget, "7200s");
  EXPECT_EQ(later.final_seeds, "5");
  EXPECT_THAT(message_of([] {
                options_of_run({{{"settings", {{"epochs", "1"}}}}}, "x");
              }),
              HasSubstr("that of a training"));
}

TEST(OptionsOfARun, AreMadeAgainWithItsCostsAndNotThoseOfAnotherClock) {
  SearchOptions o = Parsed(words("--net resnet20 --weights /w --cost measured --tasks 0,1 --out x")).options;
  o.settings.measured_costs = {1.5, 20};
  const std::string again = command_of_run({first_line(o)}, "x");
  EXPECT_THAT(again, HasSubstr(" --cost 1.5,20 "));
  EXPECT_THAT(again, Not(HasSubstr("measured")));
}

TEST(OptionsOfARun, GiveWayToThoseThatAreGiven) {
  SearchOptions began;
  began.settings.rules.fix = {"a=1", "b=2"};
  began.settings.rules.tie = {"c*"};
  began.settings.tune.lr = "0.1";
  began.settings.seed = "3";
  began.budget = "65evals";
  const Parsed line(words("--resume --out x --fix d=4 --lr 0.2 --refine --workers 2"));
  const SearchOptions o = given_over(line.app, began);
  EXPECT_THAT(o.settings.rules.fix, ElementsAre("d=4"));
  EXPECT_THAT(o.settings.rules.tie, ElementsAre("c*"));
  EXPECT_EQ(o.settings.tune.lr, "0.2");
  EXPECT_EQ(o.settings.seed, "3");
  EXPECT_EQ(o.budget, "65evals");
  EXPECT_EQ(o.workers, "2");
  EXPECT_EQ(o.out, "x");
  EXPECT_TRUE(o.settings.refine && o.resume && !o.dry_run);
}

TEST(OptionsOfARun, OfBeforeTheyWereNoted) {
  const fs::path folder = fs::path(KRONBIT_SOURCE_DIR) / "docs" / "results" / "resnet20-cifar10";
  const std::vector<Json> lines = search::read_journal(folder).lines;
  EXPECT_EQ(command_of_run(lines, "RUN/"),
            "kronbit search --net resnet20 --weights resnet20-cifar10.safetensors --data cifar10:cifar-10-batches-bin "
            "--validation test:5000 --normalize imagenet --tasks 0,0.0625,0.25,1 --covariance se --precision bf16 "
            "--by accuracy --max-size 120KB --budget 30evals --final-top 2 --final-epochs 1 --refine --out RUN-again");
  EXPECT_THAT(doubts_of_command(lines, "RUN"), ElementsAre(HasSubstr("earlier rule")));
  EXPECT_TRUE(makers_of(lines).empty());
}

}  // namespace
}  // namespace kronbit::app
