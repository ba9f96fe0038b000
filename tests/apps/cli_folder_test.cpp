// Folders and files that are somebody else's: nothing of them is removed or replaced.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "search/journal.h"
#include "tests/apps/program.h"

namespace kronbit::app {
namespace {

TEST(SearchFolder, WithSomebodysFilesIsRefused) {
  for (const char* name : {"work/thesis/chapter.tex", "best/model.safetensors"}) {
    const fs::path out = fresh("somebodys"), file = out / name;
    fs::create_directories(file.parent_path());
    write_file(file, "mine");
    for (const Words& more : {Words{}, Words{"--resume"}}) {
      refused(search_arguments(out, more), "but no journal");
      EXPECT_EQ(file_text(file), "mine");
      EXPECT_FALSE(fs::exists(out / "lock"));
    }
  }
}

TEST(SearchFolder, OfAReplicateWithSomebodysFilesIsRefused) {
  const fs::path out = fresh("somebodys_replicate"), file = out / "seed-2" / "best" / "mine.txt";
  fs::create_directories(file.parent_path());
  write_file(file, "mine");
  refused(search_arguments(out, {"--replicates", "2"}), "best/mine.txt but no journal");
  EXPECT_FALSE(fs::exists(out / "seed-1"));
}

Words sensitivity(const fs::path& weights, const Words& more) {
  const Words command = words("sensitivity --net resnet20 --probe 1 --images 1", {"--weights", weights.string()});
  return with(with(command, tiny_data()), more);
}

TEST(OutputFile, IsNoInput) {
  const fs::path weights = scratch() / "input.safetensors", link = scratch() / "linked.json";
  fs::copy_file(tiny_weights(), weights, fs::copy_options::overwrite_existing);
  const std::string before = file_text(weights);
  fs::create_symlink(weights, link);
  refused(sensitivity(weights, {"--out", weights.string()}), "[--out] wanted another file than " + weights.string());
  refused(sensitivity(weights, {"--out", link.string()}), "[--out] wanted another file than " + weights.string());
  refused(sensitivity(weights, {"--plot", weights.string()}), "[--plot] wanted another file");
  const std::string both = (scratch() / "both").string();
  refused(sensitivity(weights, {"--out", both, "--plot", both}), "[--plot] wanted another file");
  EXPECT_EQ(file_text(weights), before);
  const fs::path bits = scratch() / "profile.json";
  write_file(bits, "mine");
  refused({"profile", "--net", "toy10", "--check", "@" + bits.string(), "--out", bits.string()}, "wanted another file");
  EXPECT_EQ(file_text(bits), "mine");
}

TEST(OutputFile, CanBeWritten) {
  const fs::path folder = scratch() / "a-folder.json";
  fs::create_directories(folder);
  refused(sensitivity(tiny_weights(), {"--out", folder.string()}), "wanted a file name, got a folder");
  refused({"profile", "--net", "toy10", "--out", folder.string()}, "wanted a file name, got a folder");
  refused({"rank", unbroken_search().string(), "--out", folder.string()}, "wanted a file name, got a folder");
  for (const char* flag : {"--out", "--plot"})  // nobody makes files there
    refused(sensitivity(tiny_weights(), {flag, "/proc/table.json"}), "wanted a folder that can be written to");
}

TEST(OutputFile, OfARankingIsNoneOfTheRun) {
  const fs::path run = fresh("ranked");
  fs::copy(unbroken_search(), run, fs::copy_options::recursive);
  for (const char* name : {"journal.jsonl", "lock", "report.html", "best/model.safetensors", "best/new.json"}) {
    const std::string before = fs::exists(run / name) ? file_text(run / name) : "";
    refused({"rank", run.string(), "--out", (run / name).string()}, "[--out] wanted another file than");
    EXPECT_EQ(fs::exists(run / name) ? file_text(run / name) : "", before) << name;
  }
  EXPECT_EQ(kronbit({"rank", run.string(), "--out", (run / "first.json").string()}).code, 0);
  EXPECT_EQ(kronbit({"rank", run.string(), "--out", (run / "first.json").string()}).code, 0) << "its own of before";
}

}  // namespace
}  // namespace kronbit::app
