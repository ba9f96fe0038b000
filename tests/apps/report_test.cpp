// The report of searches and trainings: whole, self-contained, and escaped whatever the journal says.
#include "apps/kronbit/report/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "apps/kronbit/report/data.h"
#include "apps/kronbit/report/gnuplot.h"
#include "search/journal.h"
#include "tensor/io/file.h"
#include "tensor/io/parse.h"
#include "tests/apps/fake_run.h"
#include "tests/apps/program.h"

namespace kronbit::app {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kEvil = "<script>alert(1)</script> `touch /tmp/x` \" ' & \x1b[31m";

/// The page, checked by a parser that is not ours.
std::string checked_page(const std::filesystem::path& folder) {
  const std::string page = read_text(folder / "report.html", 1 << 20);
  FILE* python = popen("python3 " KRONBIT_SOURCE_DIR "/tests/apps/check_html.py", "w");
  EXPECT_NE(python, nullptr);
  fwrite(page.data(), 1, page.size(), python);
  EXPECT_EQ(pclose(python), 0);
  return page;
}

size_t count(const std::string& text, const std::string& piece) {
  size_t n = 0;
  for (size_t at = text.find(piece); at != std::string::npos; at = text.find(piece, at + 1)) ++n;
  return n;
}

TEST(Report, OfAFinishedSearchAnswersFirst) {
  const auto folder = search::fresh_folder("report");
  make_fake_run(folder, fake_settings());
  write_report(folder);
  const std::string page = checked_page(folder);
  const SearchReport report = read_search_report(folder);
  const FinalRow* best = report.champion();
  ASSERT_NE(best, nullptr);
  const std::string first = page.substr(page.find("<p class=\"answer\">"), 1000);
  EXPECT_THAT(first, HasSubstr(format_bits(best->bits)));
  EXPECT_THAT(first, HasSubstr(fmt::format("{:.2f} %", 100 * best->mean_top1())));
  EXPECT_THAT(first, HasSubstr("the uniform "));
  EXPECT_THAT(page, HasSubstr("What the test split says"));
  EXPECT_THAT(page, Not(HasSubstr("far above test accuracy")));
  EXPECT_THAT(page, Not(HasSubstr(" ms<")));
  // Sizes, their upper end, bits, progress, information, four slices, trust.
  if (has_gnuplot()) {
    EXPECT_EQ(count(page, "<svg "), 10u);
  }
}

TEST(Status, CountsWorkersWhereverTheyRan) {
  const auto whole = search::fresh_folder("half");
  make_fake_run(whole, fake_settings(), {.budget = "24evals", .evaluations = 12, .finals = false});
  const auto eta = [&](const std::vector<std::string>& workers) {
    const auto folder = search::fresh_folder("signed");
    make_folder(folder);
    search::Journal journal(folder, {});
    size_t n = 0;
    for (Json line : search::read_journal(whole).lines) {
      for (const char* key : {"n", "crc"}) line.erase(key);
      if (has(line, "worker")) line["worker"] = workers[n++ % workers.size()];
      journal.append(line);
    }
    return kronbit_json({"status", folder.string()})["eta_seconds"].get<double>();
  };
  const double one = eta({"0"});
  EXPECT_GT(one, 0);
  EXPECT_EQ(eta({"0 nodeA", "0 nodeB", "0 nodeC"}), one);
  EXPECT_EQ(eta({"0 nodeA", "1 nodeA", "1 nodeB"}), one / 2);
}

TEST(Report, TellsAWishThatNothingReached) {
  const std::string unmet = "on validation images; nothing reached it, this is the nearest";
  for (const char* wish : {"", "0.3", "0.999"}) {
    const bool missed = std::string(wish) == "0.999";
    for (const bool finals : {true, false}) {
      SCOPED_TRACE(fmt::format("{} {}", wish, finals));
      const auto folder = search::fresh_folder("wish");
      SearchSettings settings = fake_settings();
      settings.wish.min_accuracy = wish;
      make_fake_run(folder, settings, {.budget = "12evals", .finals = finals});
      write_report(folder);
      EXPECT_EQ(count(checked_page(folder), "wanted at least 99.90 % " + unmet), missed ? 1u : 0u);
      const Json status = kronbit_json({"status", folder.string()});
      EXPECT_EQ(status["wish_met"], *wish ? Json(!missed) : Json(nullptr));
      EXPECT_EQ(count(kronbit({"status", folder.string()}).out, unmet), missed ? 1u : 0u);
    }
  }
}

TEST(Report, OfASearchWithTimesShowsThem) {
  const auto folder = search::fresh_folder("timed");
  SearchSettings settings = fake_settings();
  settings.latency.rest = 500;
  for (int layer = 0; layer < 19; ++layer) {
    settings.latency.microseconds.emplace_back();
    for (int bits = 1; bits <= 8; ++bits) settings.latency.microseconds.back().push_back(100 * bits + layer);
  }
  make_fake_run(folder, settings);
  write_report(folder);
  const std::string page = checked_page(folder);
  const SearchReport report = read_search_report(folder);
  const FinalRow* best = report.champion();
  ASSERT_NE(best, nullptr);
  double microseconds = 500 + 18 * 19 / 2;
  for (const int bits : best->bits) microseconds += 100 * bits;
  const std::string time = fmt::format("{:.4g} ms", microseconds / 1000);
  EXPECT_THAT(page, HasSubstr("<b>" + time + "</b><span>expected for an image</span>"));
  EXPECT_THAT(page.substr(page.find("What the test split says")), HasSubstr(time));
  EXPECT_THAT(page.substr(page.find("The ranking")), HasSubstr(" ms</td>"));
  EXPECT_THAT(page, HasSubstr("Accuracy against time"));
  if (has_gnuplot()) {
    EXPECT_EQ(count(page, "<svg "), 12u);
  }
  const std::vector<std::string> lines = split(format_finals(report.finals), '\n');
  EXPECT_THAT(lines[0], testing::EndsWith(" ms"));
  EXPECT_THAT(lines[1], testing::StartsWith("fp32"));
  EXPECT_THAT(format_finals(report.finals), HasSubstr(fmt::format(" {:.4g}\n", microseconds / 1000)));
}

TEST(Report, SaysWhereDeviationsAreWiderThanFitted) {
  int wider = 0;
  for (const char* budget : {"8evals", "12evals", "16evals", "24evals"}) {
    const auto folder = search::fresh_folder("widened_report");
    make_fake_run(folder, fake_settings(), {.budget = budget});
    write_report(folder);
    const double widening = read_search_report(folder).model->widening();
    wider += widening > 1;
    const std::string sentence = fmt::format("are shown {:.2f} times as wide", std::sqrt(widening));
    EXPECT_EQ(count(checked_page(folder), sentence), widening > 1 ? 1u : 0u) << budget << ", widening " << widening;
  }
  EXPECT_GT(wider, 0) << "nothing was tested";
}

TEST(Report, SaysTheSameTwice) {
  const auto folder = search::fresh_folder("twice");
  make_fake_run(folder, fake_settings(), {.budget = "8evals"});
  write_report(folder);
  const std::string page = read_text(folder / "report.html", 1 << 20);
  write_report(folder);
  EXPECT_EQ(page, read_text(folder / "report.html", 1 << 20));
}

TEST(Report, WarnsWhenValidationIsFarAboveTest) {
  const auto folder = search::fresh_folder("gap");
  make_fake_run(folder, fake_settings(), {.budget = "12evals", .test_gap = 0.08});
  write_report(folder);
  EXPECT_THAT(checked_page(folder), HasSubstr("far above test accuracy"));
}

TEST(Report, EscapesWhatComesFromFiles) {
  const auto folder = search::fresh_folder("report <script>`id` & \"run\"");
  SearchSettings settings = fake_settings();
  settings.data.data = std::string("folder:/tmp/") + kEvil;
  settings.network.weights = kEvil;
  make_fake_run(folder, settings, {.budget = "12evals", .failure = kEvil});
  write_report(folder);
  const std::string page = checked_page(folder);
  EXPECT_THAT(page, HasSubstr("&lt;script&gt;alert(1)&lt;/script&gt; `touch /tmp/x`"));
  EXPECT_THAT(page, HasSubstr("Failed attempts"));
  EXPECT_EQ(count(page, "<script"), 1u);  // the data
  EXPECT_THAT(page, Not(HasSubstr("\x1b")));
}

TEST(Report, WorksBeforeTheFirstResult) {
  const auto folder = search::fresh_folder("empty");
  make_fake_run(folder, fake_settings(), {.evaluations = 0, .finals = false});
  write_report(folder);
  EXPECT_THAT(checked_page(folder), HasSubstr("No answer yet"));
}

TEST(Report, WorksWithOneAndWithThreeResults) {
  for (const int evaluations : {1, 3}) {
    const auto folder = search::fresh_folder("few");
    make_fake_run(folder, fake_settings(), {.evaluations = evaluations, .finals = false});
    write_report(folder);
    EXPECT_THAT(checked_page(folder), HasSubstr("So far the best expected bits"));
  }
}

TEST(Report, WorksWithOneTaskAndAnyCurve) {
  for (const char* curve : {"line", "bezier:1", "chebyshev:4"}) {
    const auto folder = search::fresh_folder("one");
    SearchSettings settings = fake_settings();
    settings.tasks = "0";
    settings.curve = curve;
    make_fake_run(folder, settings, {.budget = "9evals"});
    write_report(folder);
    EXPECT_THAT(checked_page(folder), HasSubstr("Accuracy against size"));
  }
}

TEST(Report, HasItsTablesWithoutGnuplot) {
  const auto folder = search::fresh_folder("plain");
  make_fake_run(folder, fake_settings(), {.budget = "8evals"});
  const std::string path = std::getenv("PATH");
  setenv("PATH", "/nowhere", 1);
  testing::internal::CaptureStderr();
  write_report(folder);
  const std::string said = testing::internal::GetCapturedStderr();
  setenv("PATH", path.c_str(), 1);
  EXPECT_THAT(said, HasSubstr("gnuplot cannot be started"));
  const std::string page = checked_page(folder);
  EXPECT_THAT(page, HasSubstr("gnuplot cannot be started"));
  EXPECT_THAT(page, HasSubstr("The ranking"));
  EXPECT_EQ(count(page, "<svg"), 0u);
}

TEST(Report, OfATraining) {
  const auto folder = search::fresh_folder("training");
  std::filesystem::create_directories(folder);
  search::Journal journal(folder, search::read_journal(folder));
  journal.append({{"event", "settings"},
                  {"schema", search::kJournalSchema},
                  {"settings", {{"command", "train"}, {"net", "vgg11"}, {"data", kEvil}, {"epochs", "3"}}}});
  write_report(folder);
  EXPECT_THAT(checked_page(folder), HasSubstr("No epoch has finished yet."));
  for (int e = 1; e <= 3; ++e) {
    journal.append({{"event", "epoch"},
                    {"epoch", e},
                    {"step", 10 * e},
                    {"lr", 0.1},
                    {"loss", 2.0 / e},
                    {"train_top1", 0.2 * e},
                    {"val_top1", 0.25 * e},
                    {"val_loss", 1.8 / e},
                    {"seconds", 1.5},
                    {"images_per_second", 100}});
  }
  journal.append({{"event", "test"}, {"step", 30}, {"top1", 0.7412}, {"top5", 0.99}, {"loss", 0.6}, {"images", 10000}});
  write_report(folder);
  const std::string page = checked_page(folder);
  EXPECT_THAT(page, HasSubstr("<b>74.12 %</b> on the 10000 images"));
  if (has_gnuplot()) {
    EXPECT_EQ(count(page, "<svg "), 2u);
  }
}

TEST(Report, NeedsARun) {
  const auto folder = search::fresh_folder("none");
  std::filesystem::create_directories(folder);
  EXPECT_THROW(write_report(folder), InputError);
}

TEST(Gnuplot, NoTextLeavesItsQuotes) {
  EXPECT_EQ(in_quotes("plain"), "'plain'");
  EXPECT_EQ(in_quotes("o'd\n`x` \\ \"%s\""), "'o''d\\x0a`x` \\ \"%s\"'");
}

}  // namespace
}  // namespace kronbit::app
