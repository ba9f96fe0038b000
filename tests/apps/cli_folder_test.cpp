// Folders and files that are somebody else's: nothing of them is removed or replaced.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace kronbit::app
