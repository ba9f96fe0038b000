#include "tensor/bits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tensor/rng.h"
#include "tests/tensor/message_of.h"

namespace kronbit {
namespace {

using ::testing::HasSubstr;

std::string error_of(std::string_view text, int64_t layers) {
  return message_of([&] { parse_bits(text, layers); });
}

TEST(Bits, ReadsThePapersForms) {
  EXPECT_EQ(parse_bits("6 555 44 333 22 11", 13), (Bits{6, 5, 5, 5, 4, 4, 3, 3, 3, 2, 2, 1, 1}));
  const Bits googlenet = parse_bits("4x21 3x27 2x16", 64);
  EXPECT_EQ(googlenet[20], 4);
  EXPECT_EQ(googlenet[21], 3);
  EXPECT_EQ(googlenet[63], 2);
  EXPECT_EQ(parse_bits("4", 20), Bits(20, 4));
  EXPECT_EQ(parse_bits(" 4\t3\n", 2), (Bits{4, 3}));
  EXPECT_EQ(parse_bits("8x2 11", 4), (Bits{8, 8, 1, 1}));
  EXPECT_EQ(parse_bits("5", 1), (Bits{5}));
}

TEST(Bits, RefusesWithWantedAndGot) {
  EXPECT_THAT(error_of("6 555", 13), HasSubstr("wanted 13 layers, got 4"));
  EXPECT_THAT(error_of("44", 1), HasSubstr("wanted 1 layers, got 2"));
  EXPECT_THAT(error_of("", 3), HasSubstr("wanted 3 layers, got 0"));
  EXPECT_THAT(error_of("4x3", 4), HasSubstr("wanted 4 layers, got 3"));
  EXPECT_THAT(error_of("4x99999999999999999999", 4), HasSubstr("got \"4x99999999999999999999\""));
  EXPECT_THAT(error_of("404", 3), HasSubstr("got '0'"));
  EXPECT_THAT(error_of("494", 3), HasSubstr("got '9'"));
  EXPECT_THAT(error_of("9x3", 3), HasSubstr("got '9'"));
  for (const char* text : {"4x", "x4", "4x-1", "4x+1", "44x2", "4x2x2", "4x04", "4x0", "4,4", "\xd9\xa4"})
    EXPECT_NE(error_of(text, 4), "nothing was thrown") << text;
}

TEST(Bits, TextGoesBothWays) {
  EXPECT_EQ(format_bits({6, 5, 5, 5, 4, 4}), "6 555 44");
  EXPECT_EQ(format_bits(parse_bits("4x21 3x27 2x16", 64)), "4x21 3x27 2x16");
  EXPECT_EQ(format_bits(Bits(20, 3)), "3x20");
  Rng rng(1, Purpose::Test);
  for (int round = 0; round < 200; ++round) {
    Bits bits;
    for (uint64_t left = 1 + rng.below(6); left > 0; --left)
      bits.insert(bits.end(), 1 + rng.below(12), 1 + static_cast<int>(rng.below(8)));
    EXPECT_EQ(parse_bits(format_bits(bits), static_cast<int64_t>(bits.size())), bits);
  }
}

TEST(Bits, ChecksNumbers) {
  EXPECT_NO_THROW(check_bits("x", {1, 8}, 2));
  EXPECT_THROW(check_bits("x", {1, 8}, 3), InputError);
  EXPECT_THROW(check_bits("x", {0, 8}, 2), InputError);
  EXPECT_THROW(check_bits("x", {1, 9}, 2), InputError);
}

TEST(Bits, AsDigitsNameFiles) { EXPECT_EQ(digits({6, 5, 5, 1}), "6551"); }

}  // namespace
}  // namespace kronbit
