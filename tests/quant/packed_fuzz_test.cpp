// The corpus of the fuzzer and mutations of it, the same ones every time, through the same function.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <string>

#include "tensor/io/file.h"
#include "tensor/rng.h"
#include "tests/fuzz/packed_fuzz.h"

namespace kronbit::quant {
namespace {

const std::filesystem::path kCorpus = KRONBIT_SOURCE_DIR "/tests/fuzz/corpus";

bool accepted(const std::string& file) { return accepts_packed(std::as_bytes(std::span(file))); }

std::string good_file() { return read_text(kCorpus / "toy10.safetensors", 1 << 20); }

TEST(PackedFuzz, TheCorpusIsAcceptedOrRefused) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kCorpus)) {
    const bool good = entry.path().extension() == ".safetensors";
    EXPECT_EQ(accepted(read_text(entry.path(), 1 << 20)), good) << entry.path();
    ++files;
  }
  EXPECT_GE(files, 3);
}

// One to three edits of the header: a digit for a digit, another byte, a piece removed or copied.
std::string edited(std::string text, Rng& rng) {
  static const std::string kBytes = "{}[]\",:\\0129-.x \n\xff";
  for (uint64_t edits = 1 + rng.below(3); edits > 0; --edits) {
    const size_t at = rng.below(text.size());
    switch (rng.below(4)) {
      case 0: {
        const size_t digit = text.find_first_of("0123456789", at);
        if (digit != std::string::npos) text[digit] = static_cast<char>('0' + rng.below(10));
        break;
      }
      case 1:
        text[at] = kBytes[rng.below(kBytes.size())];
        break;
      case 2:
        text.erase(at, 1 + rng.below(16));
        break;
      default:
        text.insert(rng.below(text.size()), text.substr(at, 1 + rng.below(60)));
        break;
    }
  }
  return text;
}

TEST(PackedFuzz, EditedHeadersAreAcceptedOrRefused) {
  const std::string good = good_file();
  uint64_t length = 0;
  std::memcpy(&length, good.data(), 8);
  const std::string header = good.substr(8, length), data = good.substr(8 + length);
  int taken = 0;
  for (uint64_t i = 0; i < 3000; ++i) {
    Rng rng(91, Purpose::Test, {i});
    const std::string other = edited(header, rng);
    const uint64_t n = other.size();
    taken += accepted(std::string(reinterpret_cast<const char*>(&n), 8) + other + data);
  }
  EXPECT_GT(taken, 3) << "some edits change nothing that counts";
  EXPECT_LT(taken, 1000);
}

TEST(PackedFuzz, FlippedDataIsAcceptedOrRefused) {
  const std::string good = good_file();
  uint64_t length = 0;
  std::memcpy(&length, good.data(), 8);
  int taken = 0;
  for (uint64_t i = 0; i < 500; ++i) {
    Rng rng(92, Purpose::Test, {i});
    std::string other = good;
    for (uint64_t flips = 1 + rng.below(20); flips > 0; --flips) {
      const size_t at = 8 + length + rng.below(good.size() - 8 - length);
      other[at] = static_cast<char>(other[at] ^ (1 << rng.below(8)));
    }
    taken += accepted(other);
  }
  EXPECT_GT(taken, 100) << "most bits of planes and multipliers are free";
  EXPECT_LT(taken, 500) << "padding, infinite numbers";
}

}  // namespace
}  // namespace kronbit::quant
