// The strict JSON reader and writer, and text made safe to print.
#include "tensor/io/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tensor/io/text.h"
#include "tests/tensor/message_of.h"

namespace kronbit {
namespace {

using testing::HasSubstr;

TEST(Json, MalformedTextIsRefused) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "line 1"},
      {" \n ", "line 2"},
      {"{", "line 1"},
      {"{\"a\":1,}", "line 1, column 8"},
      {"{\n\"a\":\n,1}", "line 3, column 1"},
      {"[1 2]", "line 1"},
      {"{}{}", "line 1"},
      {"{} x", "line 1"},
      {std::string("{}\0", 3), "NUL"},
      {std::string("[1,2]\0\0\0\0", 9), "byte 6"},
      {std::string("[\0]", 3), "NUL"},
      {"\xEF\xBB\xBF{}", "byte order mark"},
      {"[\"\xff\"]", "UTF-8"},
      {"[\"\xc0\x80\"]", "UTF-8"},
      {"[\"\xed\xa0\x80\"]", "UTF-8"},
      {"[\"\\ud800\"]", "surrogate"},
      {"[\"a\nb\"]", "control character"},
      {"{\"a\":1,\"b\":2,\"a\":3}", "duplicate key \"a\""},
      {"{\"o\":{\"a\":1,\"\\u0061\":2}}", "duplicate key \"a\""},
      {"[1e999]", "1e999"},
      {"[-1e999]", "-1e999"},
      {"[NaN]", "line 1"},
      {"[Infinity]", "line 1"},
      {"[010]", "line 1"},
      {"[0x10]", "line 1"},
      {"[+1]", "line 1"},
      {"[.5]", "line 1"},
      {"['a']", "line 1"},
      {"// comment\n{}", "line 1"},
      {"[True]", "line 1"},
      {std::string(65, '[') + std::string(65, ']'), "64 levels"},
      {std::string(200'000, '['), "64 levels"},
      {"[\"" + std::string(100'000, 'x'), "line 1"},
  };
  for (const auto& [text, says] : cases) {
    const std::string message = message_of([&, &t = text] { parse_json(t, "bits.json"); });
    EXPECT_THAT(message, HasSubstr("[bits.json] ")) << text.substr(0, 40);
    EXPECT_THAT(message, HasSubstr(says)) << text.substr(0, 40);
    EXPECT_LT(message.size(), 400u) << text.substr(0, 40);
    EXPECT_EQ(message.find_first_of(std::string("\0\n\x1b", 3)), std::string::npos) << message;
  }
}

TEST(Json, OrdinaryTextIsAcceptedWithItsKeyOrder) {
  EXPECT_EQ(dump_line(parse_json(" {\"b\": [1, -2, 3.5e2], \"a\": {\"x\": null, \"y\": true}}\n", "t")),
            R"({"b":[1,-2,350.0],"a":{"x":null,"y":true}})");
  EXPECT_EQ(parse_json("{\"a\":{\"k\":1},\"b\":{\"k\":1}}", "t").size(), 2u) << "equal keys of different objects";
  EXPECT_NO_THROW(parse_json(std::string(64, '[') + std::string(64, ']'), "t"));
  EXPECT_EQ(parse_json("\"caf\\u00e9 \\ud83d\\ude00\"", "t"), Json("caf\xc3\xa9 \xf0\x9f\x98\x80"));
}

TEST(Json, SizeAndNumberOfValuesAreLimited) {
  EXPECT_THAT(message_of([] { parse_json("[1,2,3]", "t", 6); }), HasSubstr("at most 6 bytes"));
  std::string many = "[0";
  for (int64_t i = 0; i < kMaxJsonValues; ++i) many += ",0";
  EXPECT_THAT(message_of([&] { parse_json(many + "]", "t"); }), HasSubstr("values"));
}

TEST(Json, IntegersAreNeverGuessed) {
  const Json json = parse_json(
      R"({"ok":4,"low":-1,"half":3.7,"whole":3.0,"true":true,"big":8589934596,"u64":18446744073709551615,"beyond":18446744073709551616,"e":1e30,"text":"4","null":null})",
      "t");
  EXPECT_EQ(get_int(json, "ok", 1, 8, "t"), 4);
  EXPECT_EQ(get_int(json, "low", -1, 8, "t"), -1);
  EXPECT_EQ(get_int(json, "big", 0, INT64_MAX, "t"), 8589934596);
  for (const char* key : {"low", "half", "whole", "true", "big", "u64", "beyond", "e", "text", "null", "absent"}) {
    const std::string message = message_of([&] { get_int(json, key, 0, 8, "t"); });
    EXPECT_THAT(message, HasSubstr("[t] " + std::string(key) + ": wanted")) << message;
  }
  EXPECT_THROW(get_int(json, "u64", INT64_MIN, INT64_MAX, "t"), InputError);
  EXPECT_EQ(get_int(Json{{"n", 5}}, "n", 0, 9, "t"), 5) << "also of values made in the program";
  EXPECT_EQ(message_of([&] { get_int(json, "half", 0, 8, "t"); }),
            "[t] half: wanted a whole number from 0 to 8, got 3.7");
}

TEST(Json, EveryTypeIsChecked) {
  const Json json =
      parse_json(R"({"n":1,"x":0.5,"s":"a","b":true,"i":[1,2],"d":[1,2.5],"t":["a","b"],"mixed":[1,"2"],"o":{}})", "t");
  EXPECT_EQ(get_number(json, "n", 0, 1, "t"), 1.0);
  EXPECT_EQ(get_number(json, "x", 0, 1, "t"), 0.5);
  EXPECT_THROW(get_number(json, "x", 0, 0.4, "t"), InputError);
  EXPECT_THROW(get_number(json, "b", 0, 1, "t"), InputError);
  EXPECT_EQ(get_string(json, "s", "t"), "a");
  EXPECT_THROW(get_string(json, "n", "t"), InputError);
  EXPECT_TRUE(get_bool(json, "b", "t"));
  EXPECT_THROW(get_bool(json, "n", "t"), InputError);
  EXPECT_EQ(get_ints(json, "i", 0, 2, "t"), (std::vector<int64_t>{1, 2}));
  EXPECT_THROW(get_ints(json, "d", 0, 3, "t"), InputError);
  EXPECT_THROW(get_ints(json, "n", 0, 3, "t"), InputError);
  EXPECT_EQ(get_numbers(json, "d", 0, 3, "t"), (std::vector<double>{1, 2.5}));
  EXPECT_EQ(get_strings(json, "t", "t"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(message_of([&] { get_ints(json, "mixed", 0, 8, "t"); }),
            "[t] mixed[1]: wanted a whole number from 0 to 8, got \"2\"");
  EXPECT_TRUE(has(json, "o"));
  EXPECT_FALSE(has(json, "p"));
  EXPECT_FALSE(has(Json(3), "p"));
  EXPECT_THROW(get(Json(3), "p", "t"), InputError);
  EXPECT_THROW(get_object(json, "i", "t"), InputError);
  EXPECT_THROW(get_array(json, "o", "t"), InputError);
}

TEST(Json, WriterRefusesWhatCannotBeReadBackAndKeepsDoublesExactly) {
  EXPECT_THROW(dump_line(Json{{"a", {1.0, std::numeric_limits<double>::quiet_NaN()}}}), InternalError);
  EXPECT_THROW(dump_pretty(Json(std::numeric_limits<double>::infinity())), InternalError);
  Json deep = 1;
  for (int i = 0; i < 65; ++i) deep = Json::array({deep});
  EXPECT_THROW(dump_line(deep), InternalError);
  for (const double x : {0.1, 1.0 / 3, 5e-324, 1.7976931348623157e308, -0.0, 1e22, 123456789012345680.0}) {
    EXPECT_EQ(parse_json(dump_line(Json(x)), "t").get<double>(), x);
  }
}

TEST(Json, PrettyBreaksOnlyWhatIsLong) {
  EXPECT_EQ(dump_pretty({{"a", 1}, {"b", {2, 3}}, {"c", Json::object()}}), "{\"a\": 1, \"b\": [2, 3], \"c\": {}}\n");
  Json numbers = Json::array();
  for (int i = 0; i < 100; ++i) numbers.push_back(i);
  const std::string text = dump_pretty({{"n", numbers}});
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 8) << text;
  size_t longest = 0;
  for (size_t at = 0, end; at < text.size(); at = end + 1)
    end = text.find('\n', at), longest = std::max(longest, end - at);
  EXPECT_TRUE(longest > 110 && longest <= 120) << longest;
  EXPECT_EQ(parse_json(text, "t")["n"], numbers);
  const std::string x(60, 'x');
  EXPECT_EQ(dump_pretty({{"a", {x, x}}, {"b", {2, 3}}}),
            "{\n  \"a\": [\n    \"" + x + "\",\n    \"" + x + "\"\n  ],\n  \"b\": [2, 3]\n}\n");
}

TEST(Json, WriterSurvivesTextThatIsNotUtf8) {
  const std::string line = dump_line(Json{{"path", "a\xff/b\n"}});
  EXPECT_EQ(line, "{\"path\":\"a\xEF\xBF\xBD/b\\n\"}");
  EXPECT_NO_THROW(parse_json(line, "t"));
}

TEST(Text, Utf8IsCheckedAsTheStandardSays) {
  for (const char* good :
       {"", "a", "\xc2\x80", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(is_utf8(good)) << printable(good);
  }
  for (const char* bad : {"\x80", "\xc1\xbf", "\xc2", "\xe0\x9f\xbf", "\xe2\x82", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
                          "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "a\xc3(", "\xe2\x28\xa1"}) {
    EXPECT_FALSE(is_utf8(bad)) << printable(bad);
  }
}

TEST(Text, NothingThatDrawsOnATerminalIsPrinted) {
  EXPECT_EQ(printable("caf\xc3\xa9"), "caf\xc3\xa9");
  EXPECT_EQ(printable("\x1b[2J\r\n\t"), "\\x1b[2J\\x0d\\x0a\\x09");
  EXPECT_EQ(printable("\xc2\x9b"
                      "2J"),
            "\\xc2\\x9b2J")
      << "a one-character CSI";
  EXPECT_EQ(printable("\xe2\x80\xae"
                      "abc"),
            "\\xe2\\x80\\xae"
            "abc")
      << "right-to-left override";
  EXPECT_EQ(printable("\xff\x7f"), "\\xff\\x7f");
  EXPECT_EQ(quote("ab"), "\"ab\"");
  EXPECT_EQ(quote("abcdef", 3), "\"abc...\" (6 bytes)");
  EXPECT_EQ(quote("ab\xc3\xa9", 3), "\"ab...\" (4 bytes)");
  EXPECT_TRUE(has_control_characters("a\x7f"));
  EXPECT_TRUE(has_control_characters("\xff\n"));
  EXPECT_FALSE(has_control_characters("caf\xc3\xa9"));
}

}  // namespace
}  // namespace kronbit
