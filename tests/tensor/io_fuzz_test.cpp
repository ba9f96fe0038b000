// Deterministic mutations of small valid files: accepted or InputError, never a crash, and what is accepted reads the
// same after being written again.
#include <gtest/gtest.h>

#include <functional>

#include "tensor/io/json.h"
#include "tensor/io/safetensors.h"
#include "tensor/rng.h"

namespace kronbit {
namespace {

std::span<const std::byte> bytes_of_text(const std::string& text) { return std::as_bytes(std::span(text)); }

std::string small_file() {
  SafetensorsWriter writer;
  writer.add("conv.weight", Tensor::from({2, 3}, {1, 2, 3, 4, 5, 6}));
  writer.add("conv.scale", Tensor::from({2}, {1, 2}).to(DType::BF16));
  writer.add("none", Tensor::zeros({0, 4}));
  const std::vector<std::byte> bytes = writer.bytes();
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

// Whether the file is accepted; then all of its tensors are read, written and read again.
bool accepted(const std::string& text) {
  try {
    const SafetensorsFile file = SafetensorsFile::parse(bytes_of_text(text), "fuzz");
    SafetensorsWriter writer;
    for (const auto& [key, value] : file.metadata()) writer.set_metadata(key, value);
    for (const TensorInfo& info : file.tensors()) writer.add(info.name, info.dtype, info.shape, info.bytes);
    const std::vector<std::byte> again_bytes = writer.bytes();
    const SafetensorsFile again = SafetensorsFile::parse(again_bytes, "again");
    EXPECT_EQ(again.tensors().size(), file.tensors().size());
    for (const TensorInfo& info : file.tensors()) {
      const TensorInfo* other = again.find(info.name);
      if (other == nullptr) {
        ADD_FAILURE() << "lost " << info.name;
        continue;
      }
      EXPECT_EQ(other->shape, info.shape);
      EXPECT_TRUE(std::equal(info.bytes.begin(), info.bytes.end(), other->bytes.begin(), other->bytes.end()));
    }
    return true;
  } catch (const InputError&) {
    return false;
  }
}

TEST(SafetensorsFuzz, EveryBitFlipAndTruncationIsAcceptedOrRefused) {
  const std::string good = small_file();
  ASSERT_TRUE(accepted(good));
  int taken = 0, refused = 0;
  for (size_t at = 0; at < good.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = good;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << bit));
      (accepted(flipped) ? taken : refused)++;
    }
    EXPECT_FALSE(accepted(good.substr(0, at))) << "truncated to " << at;
  }
  EXPECT_GT(taken, 8 * 28) << "flips in the 28 bytes of data are legal";
  EXPECT_GT(refused, 1000);
}

// One to four edits: flip, overwrite, insert, remove, copy a piece over another place.
std::string mutated(std::string text, Rng& rng) {
  static const std::string kBytes = "{}[]\",:\\0129-+.eEtfnu \t\n\0\x1b\x7f\xff\xc3\xa9";
  const uint64_t edits = 1 + rng.below(4);
  for (uint64_t i = 0; i < edits && !text.empty(); ++i) {
    const size_t at = rng.below(text.size());
    const char byte = kBytes[rng.below(kBytes.size())];
    switch (rng.below(5)) {
      case 0:
        text[at] = static_cast<char>(text[at] ^ (1 << rng.below(8)));
        break;
      case 1:
        text[at] = byte;
        break;
      case 2:
        text.insert(at, 1 + rng.below(3), byte);
        break;
      case 3:
        text.erase(at, 1 + rng.below(8));
        break;
      default:
        text.insert(rng.below(text.size()), text.substr(at, 1 + rng.below(24)));
        break;
    }
  }
  return text;
}

TEST(SafetensorsFuzz, MutatedHeadersWithAFittingLengthAreAcceptedOrRefused) {
  const std::string good = small_file();
  uint64_t length = 0;
  std::memcpy(&length, good.data(), 8);
  const std::string header = good.substr(8, length), data = good.substr(8 + length);
  int taken = 0;
  for (uint64_t i = 0; i < 4000; ++i) {
    Rng rng(1, Purpose::Test, {i});
    const std::string other = mutated(header, rng);
    const uint64_t n = other.size();
    taken += accepted(std::string(reinterpret_cast<const char*>(&n), 8) + other + data);
  }
  EXPECT_GT(taken, 20) << "mutations should reach the accepting path too";
  EXPECT_LT(taken, 3500);
}

TEST(JsonFuzz, MutatedTextIsRefusedOrReadsTheSameAfterWriting) {
  const std::string good =
      R"({"event":"evaluation","bits":[8,4,2],"w":[0.25,1e-3,-7],"task":2,"accuracy":0.9012,"name":"caf\u00e9 \"é\"","ok":true,"no":null,"o":{"a":[[],{}]}})";
  int taken = 0;
  for (uint64_t i = 0; i < 6000; ++i) {
    Rng rng(2, Purpose::Test, {i});
    const std::string text = mutated(good, rng);
    try {
      const Json json = parse_json(text, "fuzz");
      ++taken;
      EXPECT_EQ(parse_json(dump_line(json), "again"), json) << text;
      EXPECT_EQ(parse_json(dump_pretty(json), "again"), json) << text;
    } catch (const InputError&) {
    }
  }
  EXPECT_GT(taken, 200);
  EXPECT_LT(taken, 5800);
}

}  // namespace
}  // namespace kronbit
