// Numbers, sizes, times and lists of the command line; CRC-32.
#include "tensor/io/parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <clocale>
#include <cstdlib>

#include "tensor/io/crc32.h"
#include "tests/tensor/comma_locale.h"
#include "tests/tensor/message_of.h"
#include "tests/tensor/temporary_folder.h"

namespace kronbit {
namespace {

TEST(Parse, WholeNumbers) {
  EXPECT_EQ(parse_int("0", 0, 8, "n"), 0);
  EXPECT_EQ(parse_int("-7", -8, 8, "n"), -7);
  EXPECT_EQ(parse_int("9223372036854775807", 0, INT64_MAX, "n"), INT64_MAX);
  for (const char* bad : {"",
                          " ",
                          " 5",
                          "5 ",
                          "+5",
                          "-",
                          "--5",
                          "5x",
                          "x",
                          "0x10",
                          "010",
                          "00",
                          "-01",
                          "1e3",
                          "3.0",
                          "1,5",
                          "true",
                          "2147483648000000000000",
                          "9223372036854775808",
                          "\xd9\xa3",
                          "-1",
                          "101"}) {
    EXPECT_THROW(parse_int(bad, 0, 100, "n"), InputError) << bad;
  }
  EXPECT_THROW(parse_int(std::string("5\0", 2), 0, 8, "n"), InputError);
  EXPECT_EQ(message_of([] { parse_int("ab\n", 1, 8, "--epochs"); }),
            "[--epochs] wanted a whole number from 1 to 8, got \"ab\\x0a\"");
}

TEST(Parse, Numbers) {
  EXPECT_EQ(parse_number("1.5", 0, 2, "lr"), 1.5);
  EXPECT_EQ(parse_number("1e-3", 0, 2, "lr"), 1e-3);
  EXPECT_EQ(parse_number("-0.25", -1, 2, "lr"), -0.25);
  EXPECT_EQ(parse_number("0", 0, 2, "lr"), 0);
  for (const char* bad : {"",    "nan", "inf", "-inf", "NaN", "infinity", "1e999", "-1e999", "1e-999", "-1",   "0x10",
                          "1,5", " 1",  "1 ",  "010",  "+1",  "1.5.",     "1e",    "e5",     ".",      "1.5f", "--1"}) {
    EXPECT_THROW(parse_number(bad, 0, 1e300, "lr"), InputError) << bad;
  }
}

TEST(Parse, NumbersDoNotDependOnTheLocale) {
  const TemporaryFolder folder;
  if (!make_comma_locale(folder.path())) GTEST_SKIP() << "localedef does not make a locale with a decimal comma";
  const std::string before = std::setlocale(LC_ALL, nullptr);
  ::setenv("LOCPATH", folder.path().c_str(), 1);
  ASSERT_NE(std::setlocale(LC_ALL, "comma"), nullptr);
  ::unsetenv("LOCPATH");
  EXPECT_EQ(std::strtod("1,5", nullptr), 1.5) << "this locale has a point";
  EXPECT_EQ(parse_number("1.5", 0, 2, "lr"), 1.5);
  EXPECT_THROW(parse_number("1,5", 0, 2, "lr"), InputError);
  std::setlocale(LC_ALL, before.c_str());
}

TEST(Parse, Sizes) {
  EXPECT_EQ(parse_bytes("3.5MB", "s"), 3'500'000);
  EXPECT_EQ(parse_bytes("1.005KB", "s"), 1005) << "1.005 * 1000 is 1004.99... in binary";
  EXPECT_EQ(parse_bytes("17B", "s"), 17);
  EXPECT_EQ(parse_bytes("2GB", "s"), 2'000'000'000);
  EXPECT_EQ(parse_bytes("1.5KiB", "s"), 1536);
  EXPECT_EQ(parse_bytes("1MiB", "s"), 1 << 20);
  EXPECT_EQ(parse_bytes("1GiB", "s"), 1 << 30);
  for (const char* bad : {"", "MB", "3", "3,5MB", "3.5XB", "3.5 MB", "3.5mb", "3.5MBs", "1e400MB", "-1MB", "nanMB",
                          "infMB", "0x1B", "1e30GB", "3.5M"}) {
    EXPECT_THROW(parse_bytes(bad, "s"), InputError) << bad;
  }
}

TEST(Parse, ShortTimes) {
  EXPECT_DOUBLE_EQ(parse_milliseconds("2ms", "t"), 2);
  EXPECT_DOUBLE_EQ(parse_milliseconds("350us", "t"), 0.35);
  EXPECT_DOUBLE_EQ(parse_milliseconds("0.5s", "t"), 500);
  for (const char* bad : {"", "2", "ms", "0ms", "-1ms", "2 ms", "2min", "4000s", "nanms", "infms", "1e400us"}) {
    EXPECT_THROW(parse_milliseconds(bad, "t"), InputError) << bad;
  }
}

TEST(Parse, Times) {
  EXPECT_EQ(parse_duration("90s", "t"), 90);
  EXPECT_EQ(parse_duration("30min", "t"), 1800);
  EXPECT_EQ(parse_duration("2h", "t"), 7200);
  EXPECT_EQ(parse_duration("0.5d", "t"), 43200);
  EXPECT_EQ(parse_duration("3h50m", "t"), 13800);
  EXPECT_EQ(parse_duration("1d12h0.5min", "t"), 129630);
  for (const char* bad : {"", "65", "30 min", "1e9min", "0s", "0h0m", "-1h", "3h-50m", "3h50", "3hm", "h", "3hours",
                          "65evals", "nanh", "infs", "366d1s"}) {
    EXPECT_THROW(parse_duration(bad, "t"), InputError) << bad;
  }
}

TEST(Parse, Shares) {
  EXPECT_EQ(parse_percent_or_fraction("0.5%", "d"), 0.005);
  EXPECT_EQ(parse_percent_or_fraction("0.005", "d"), 0.005);
  EXPECT_EQ(parse_percent_or_fraction("100%", "d"), 1);
  EXPECT_EQ(parse_percent_or_fraction("0", "d"), 0);
  for (const char* bad : {"", "%", "101%", "1.5", "-1%", "nan", "nan%", "5 %", "5%%"}) {
    EXPECT_THROW(parse_percent_or_fraction(bad, "d"), InputError) << bad;
  }
}

TEST(Parse, Lists) {
  EXPECT_EQ(split("a,,b", ','), (std::vector<std::string>{"a", "", "b"}));
  EXPECT_EQ(split("", ','), (std::vector<std::string>{""}));
  EXPECT_EQ(split("a,", ','), (std::vector<std::string>{"a", ""}));
  EXPECT_EQ(parse_ints("1,2,3", 1, 3, "l"), (std::vector<int64_t>{1, 2, 3}));
  EXPECT_EQ(parse_numbers("0,0.25,4", 0, 9, "l"), (std::vector<double>{0, 0.25, 4}));
  for (const char* bad : {"", ",", "1,", ",1", "1,,2", "1, 2", "1;2", "nan", "10"}) {
    EXPECT_THROW(parse_ints(bad, 0, 9, "l"), InputError) << bad;
    EXPECT_THROW(parse_numbers(bad, 0, 9, "l"), InputError) << bad;
  }
}

TEST(Crc32, MatchesTheCheckValueAndContinues) {
  EXPECT_EQ(crc32("123456789"), 0xCBF43926u);
  EXPECT_EQ(crc32("6789", crc32("12345")), crc32("123456789"));
  EXPECT_EQ(crc32(""), 0u);
  EXPECT_EQ(hex_of(0xCBF43926u), "cbf43926");
  EXPECT_EQ(hex_of(0x1u), "00000001");
}

}  // namespace
}  // namespace kronbit
