// Weights and data that change while a search runs: nothing of another network comes into the run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "search/journal.h"
#include "tests/apps/program.h"

namespace kronbit::app {
namespace {

/// Begins a search with the input `file`, replaces that by `other` on the way, and brings the first one back.
void replace_on_the_way(const Words& arguments, const fs::path& run, const fs::path& file, const std::string& other,
                        const std::string& mentions) {
  const std::string first = file_text(file);
  Program program(arguments);
  ASSERT_TRUE(program.wait_for_lines(run / search::kJournalName, 4));
  write_file(file.string() + ".new", other);
  fs::rename(file.string() + ".new", file);
  const Ended end = program.wait();
  EXPECT_EQ(end.code, 1) << end.err;
  EXPECT_THAT(end.err, testing::HasSubstr(mentions));
  write_file(file, first);
  Words again = arguments;
  again.emplace_back("--resume");
  EXPECT_EQ(kronbit(again).code, 0);
  EXPECT_EQ(essence(run), essence(unbroken_search()));
}

TEST(SearchInputs, WeightsReplacedOnTheWayAreRefused) {
  const fs::path run = fresh("replaced_weights"), weights = scratch() / "replaced.safetensors";
  fs::copy_file(tiny_weights(), weights, fs::copy_options::overwrite_existing);
  std::string other = file_text(weights);
  other.back() = static_cast<char>(other.back() ^ 1);
  replace_on_the_way(with_flag(search_arguments(run), "--weights", weights.string()), run, weights, other,
                     "has other weights: wanted crc32:");
}

TEST(SearchInputs, DataReplacedOnTheWayAreRefused) {
  const fs::path run = fresh("replaced_data"), data = fresh("replaced_cifar");
  fs::copy(tiny_cifar(), data);
  std::string other = file_text(data / "test_batch.bin");
  other.back() = static_cast<char>(other.back() ^ 1);
  replace_on_the_way(with_flag(search_arguments(run), "--data", "cifar10:" + data.string()), run,
                     data / "test_batch.bin", other, "has other data: wanted crc32:");
}

}  // namespace
}  // namespace kronbit::app
