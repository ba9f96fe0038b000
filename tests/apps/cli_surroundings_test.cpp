// Surroundings of the program that must not matter: closed and full outputs, environments, locales, terminals, odd names.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <optional>

#include "tests/apps/processes.h"
#include "tests/apps/program.h"
#include "tests/tensor/comma_locale.h"

namespace kronbit::app {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Surroundings, OfStdout) {
  Surroundings closed, full;
  closed.close_out = true;
  full.out = "/dev/full";
  for (const Words& arguments :
       {words("size --net resnet20 --bits 4 --json"), words("info"), words("size --help"), words("--version")}) {
    EXPECT_EQ(kronbit(arguments, closed).code, 0) << arguments[0];
    const Ended end = kronbit(arguments, full);
    EXPECT_EQ(end.code, 1) << arguments[0];
    EXPECT_EQ(end.error_lines(), 1) << end.err;
  }
}

TEST(Surroundings, OfTheEnvironment) {
  Surroundings nothing, german, homeless;
  nothing.empty_environment = true;
  german.environment = {{"LC_ALL", "de_DE.UTF-8"}, {"LANG", "tr_TR.UTF-8"}, {"LC_NUMERIC", "de_DE"}};
  homeless.environment = {{"HOME", std::nullopt}, {"KRONBIT_DATA", std::nullopt}};
  const Json want = kronbit_json(eval_arguments(tiny_weights(), {"--images", "10"}));
  for (const Surroundings& s : {nothing, german, homeless}) {
    const Json json = kronbit_json(eval_arguments(tiny_weights(), {"--images", "10"}), s);
    for (const char* key : {"top1", "top5", "loss", "images", "kernel"}) EXPECT_EQ(json[key], want[key]) << key;
    EXPECT_EQ(kronbit(words("size --net resnet20 --bits 4"), s).out,
              kronbit(words("size --net resnet20 --bits 4")).out);
  }
}

TEST(Surroundings, OfLittleAddressSpace) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "AddressSanitizer reserves far more";
#endif
  Surroundings little;
  little.most_address_bytes = 150'000 * 1024;  // without threads the program takes less than 80 MB
  const Ended end = kronbit(words("size --net resnet20 --bits 4"), little);
  EXPECT_EQ(end.code, 0) << end.err;
  EXPECT_LT(end.seconds, 30) << "threads that got no memory kept it from ending";
}

/// Of what a dry run prints, the part that no clock has changed.
std::string before_times(const std::string& text) { return text.substr(0, text.find("timed here")); }

TEST(Surroundings, OfNumbersWithADecimalComma) {
  const fs::path folder = fresh("locale");
  fs::create_directories(folder);
  if (!make_comma_locale(folder)) GTEST_SKIP() << "localedef does not make a locale with a decimal comma";
  Surroundings comma;
  comma.environment = {{"LOCPATH", folder.string()}, {"LC_ALL", "comma"}, {"LANG", "comma"}};
  const Words images = eval_arguments(tiny_weights(), {"--images", "10", "--normalize", "0.5,0.5,0.5/0.25,0.25,0.25"});
  const Json want = kronbit_json(images), json = kronbit_json(images, comma);
  for (const char* key : {"top1", "top5", "loss", "images", "kernel"}) EXPECT_EQ(json[key], want[key]) << key;
  const Words plan = search_arguments(fresh("dry"), {"--dry-run", "--max-size", "0.2MB", "--lr", "0.005"});
  for (const Words& numbers : {words("size --net resnet20 --bits 4 --layers"), with_flag(plan, "--probe", "0")}) {
    const Ended end = kronbit(numbers, comma);
    EXPECT_EQ(end.code, 0) << end.err;
    EXPECT_EQ(before_times(end.out), before_times(kronbit(numbers).out));
  }
}

/// What eval writes to a terminal.
std::string shown(const std::string& color, const std::map<std::string, std::optional<std::string>>& environment) {
  const int terminal = posix_openpt(O_RDWR | O_NOCTTY);
  EXPECT_TRUE(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0);
  Surroundings s;
  s.err = ptsname(terminal);
  s.environment = environment;
  EXPECT_EQ(kronbit(eval_arguments(tiny_weights(), {"--images", "10", "--color", color}), s).code, 0);
  fcntl(terminal, F_SETFL, O_NONBLOCK);
  std::string text;
  char part[4096];
  for (ssize_t n = 0; (n = read(terminal, part, sizeof(part))) > 0;) text.append(part, static_cast<size_t>(n));
  close(terminal);
  EXPECT_THAT(text, HasSubstr("10/10 images"));
  return text;
}

TEST(Surroundings, ColoursAreForTerminalsThatWantThem) {
  constexpr const char* kGreen = "\x1b[32m";
  EXPECT_THAT(shown("auto", {{"TERM", "xterm"}, {"NO_COLOR", std::nullopt}}), HasSubstr(kGreen));
  EXPECT_THAT(shown("always", {{"TERM", "xterm"}, {"NO_COLOR", "1"}}), HasSubstr(kGreen));
  EXPECT_THAT(shown("auto", {{"TERM", "xterm"}, {"NO_COLOR", "1"}}), Not(HasSubstr(kGreen)));
  EXPECT_THAT(shown("never", {{"TERM", "xterm"}, {"NO_COLOR", std::nullopt}}), Not(HasSubstr(kGreen)));
  EXPECT_THAT(shown("auto", {{"TERM", "dumb"}, {"NO_COLOR", std::nullopt}}), Not(HasSubstr("\x1b")));
  const Ended file = kronbit(eval_arguments(tiny_weights(), {"--images", "10"}));
  EXPECT_THAT(file.err + file.out, Not(HasSubstr("\x1b")));
}

TEST(Surroundings, OddNamesAreOnlyNames) {
  const fs::path odd = fresh("o'd d\"%s\n`touch canary`$(touch canary)<b>;-\xc3\xa4");
  const fs::path run = odd / "unbroken";
  fs::create_directories(odd);
  fs::copy(unbroken_search(), run, fs::copy_options::recursive);
  Surroundings there;
  there.folder = odd;
  fs::remove(run / "report.html");
  const Ended report = kronbit({"report", (run).string()}, there);
  EXPECT_EQ(report.code, 0) << report.err;
  EXPECT_TRUE(file_text(run / "report.html") == file_text(unbroken_search() / "report.html"));
  EXPECT_EQ(kronbit_json({"status", "unbroken"}, there)["run"], "unbroken");
  EXPECT_EQ(kronbit_json({"status", (run).string()})["run"], (run).string());
  EXPECT_EQ(kronbit({"rank", "unbroken", "--out", "`touch canary`.json"}, there).code, 0);
  fs::copy(tiny_cifar(), odd / "data");
  const Words train = words("train --net resnet20 --epochs 0.1 --batch 20 --validation train:20 --threads 1",
                            {"--data", "cifar10:" + (odd / "data").string(), "--out", (odd / "training").string()});
  const Ended trained = kronbit(train, there);
  EXPECT_EQ(trained.code, 0) << trained.err;
  EXPECT_TRUE(fs::exists(odd / "training" / "best" / "weights.safetensors"));
  const Ended refused = kronbit(train, there);  // holds a run already
  EXPECT_EQ(refused.code, 2);
  EXPECT_EQ(refused.error_lines(), 1) << refused.err;
  for (const fs::path& folder : {odd, run, fs::current_path(), scratch()}) EXPECT_FALSE(fs::exists(folder / "canary"));
}

TEST(Surroundings, OfStderr) {
  const fs::path run = fresh("full_stderr");
  fs::copy(unbroken_search(), run, fs::copy_options::recursive);
  std::string command = KRONBIT_BINARY_DIR "/kronbit";
  for (const std::string& word : search_arguments(run, {"--resume", "--json"})) command += " '" + word + "'";
  const std::string out = output_of(command + " 2>/dev/full; echo $?");  // "going on with ..." is for nobody
  EXPECT_TRUE(out.ends_with("}\n0")) << out;
}

}  // namespace
}  // namespace kronbit::app
