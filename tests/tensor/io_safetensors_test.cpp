// safetensors: a table of malformed files next to good twins, round trips, conversions.
#include "tensor/io/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "tensor/io/limits.h"
#include "tests/tensor/message_of.h"

namespace kronbit {
namespace {

using testing::HasSubstr;

std::string length_prefix(uint64_t n) { return std::string(reinterpret_cast<const char*>(&n), 8); }
std::string file_of(const std::string& header, size_t data_bytes) {
  return length_prefix(header.size()) + header + std::string(data_bytes, '\1');
}
SafetensorsFile parse(const std::string& file) {
  return SafetensorsFile::parse(std::as_bytes(std::span(file)), "w.safetensors");
}
std::string entry(const std::string& name, const std::string& type, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + type + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
}
std::string one(const std::string& type, const std::string& shape, const std::string& offsets) {
  return "{" + entry("a", type, shape, offsets) + "}";
}
// Two tensors of 4 bytes with these offsets.
std::string two(const std::string& first, const std::string& second) {
  return "{" + entry("a", "F32", "[1]", first) + "," + entry("b", "F32", "[1]", second) + "}";
}
std::string many(int n) {
  std::string header = "{";
  for (int i = 0; i < n; ++i) header += (i ? "," : "") + entry("t" + std::to_string(i), "U8", "[0]", "[0,0]");
  return header + "}";
}
std::string repeated(const std::string& text, int n) {
  std::string all;
  for (int i = 0; i < n; ++i) all += text;
  return all;
}

struct Case {
  std::string name;
  std::string file;
  std::string says;  // part of the message
};

std::vector<Case> malformed() {
  const std::string good = file_of(one("F32", "[1]", "[0,4]"), 4);
  return {
      {"empty", "", "got 0 bytes"},
      {"seven bytes", good.substr(0, 7), "got 7 bytes"},
      {"N = 0", length_prefix(0) + "data", "wanted { first"},
      {"N = 1", file_of("{", 0), "header"},
      {"N = 2^63-1", length_prefix(INT64_MAX) + "{}", "header length"},
      {"N = 2^64-1", length_prefix(UINT64_MAX) + "{}", "header length"},
      {"N = 2^64-8", length_prefix(UINT64_MAX - 7) + "{}", "header length"},
      {"N one past the end", length_prefix(3) + "{}", "wanted 3 bytes, got 2"},
      {"N above the limit", length_prefix(kMaxHeaderBytes + 1) + "{}", "at most 16777216"},
      {"not UTF-8", file_of("{\"\xff\":1}", 0), "UTF-8"},
      {"byte order mark", file_of("\xEF\xBB\xBF{}", 0), "wanted { first"},
      {"leading blank", file_of(" {}", 0), "wanted { first"},
      {"NUL padding", file_of(std::string("{}\0\0", 4), 0), "NUL"},
      {"array", file_of("[]", 0), "wanted { first"},
      {"number", file_of("3", 0), "wanted { first"},
      {"null", file_of("null", 0), "wanted { first"},
      {"two values", file_of("{}{}", 0), "header"},
      {"duplicate tensor",
       file_of("{" + entry("a", "F32", "[1]", "[0,4]") + "," + entry("a", "F32", "[1]", "[4,8]") + "}", 8),
       "duplicate key \"a\""},
      {"duplicate key in an entry",
       file_of("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1),
       "duplicate key \"dtype\""},
      {"metadata a number", file_of("{\"__metadata__\":3}", 0), "__metadata__"},
      {"metadata nested", file_of("{\"__metadata__\":{\"a\":{}}}", 0), "wanted a string"},
      {"metadata value a number", file_of("{\"__metadata__\":{\"a\":1}}", 0), "wanted a string, got 1"},
      {"entry not an object", file_of("{\"a\":3}", 0), "wanted an object"},
      {"dtype unknown", file_of(one("Q8", "[1]", "[0,1]"), 1), "got \"Q8\""},
      {"dtype lower case", file_of(one("f32", "[1]", "[0,4]"), 4), "got \"f32\""},
      {"dtype I4", file_of(one("I4", "[2]", "[0,1]"), 1), "got \"I4\""},
      {"dtype a number", file_of("{\"a\":{\"dtype\":1,\"shape\":[],\"data_offsets\":[0,1]}}", 1),
       "dtype: wanted a string"},
      {"dtype absent", file_of("{\"a\":{\"shape\":[],\"data_offsets\":[0,1]}}", 1), "dtype"},
      {"shape -1", file_of(one("F32", "[-1]", "[0,4]"), 4), "got -1"},
      {"shape -0", file_of(one("F32", "[-0]", "[0,0]"), 0), "got -0"},
      {"shape 2.0", file_of(one("F32", "[2.0]", "[0,8]"), 8), "got 2.0"},
      {"shape 1e3", file_of(one("F32", "[1e3]", "[0,4000]"), 4000), "shape: wanted a whole number"},
      {"shape a string", file_of(one("F32", "[\"1\"]", "[0,4]"), 4), "got \"1\""},
      {"shape true", file_of(one("F32", "[true]", "[0,4]"), 4), "got true"},
      {"shape null", file_of(one("F32", "null", "[0,4]"), 4), "shape: wanted an array"},
      {"shape absent", file_of("{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1), "shape"},
      {"product wraps to 0", file_of(one("U8", "[4294967296,4294967296]", "[0,0]"), 0), "63 bits"},
      {"product wraps small", file_of(one("U8", "[4294967297,4294967297,4294967297]", "[0,1]"), 1), "63 bits"},
      {"bytes overflow", file_of(one("F64", "[2305843009213693952]", "[0,0]"), 0), "63 bits"},
      {"0 does not hide an overflow", file_of(one("U8", "[4294967296,4294967296,0]", "[0,0]"), 0), "63 bits"},
      {"extent 2^63", file_of(one("U8", "[9223372036854775808]", "[0,0]"), 0), "shape"},
      {"extent 2^64", file_of(one("U8", "[18446744073709551616]", "[0,0]"), 0), "shape"},
      {"rank 9", file_of(one("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]"), 1), "rank <= 8, got 9"},
      {"rank 10^5", file_of(one("U8", "[1" + repeated(",1", 99'999) + "]", "[0,1]"), 1), "rank"},
      {"one offset", file_of(one("F32", "[1]", "[0]"), 4), "wanted 2 numbers"},
      {"three offsets", file_of(one("F32", "[1]", "[0,4,8]"), 8), "wanted 2 numbers"},
      {"offsets reversed", file_of(one("F32", "[1]", "[4,0]"), 4), "begin <= end"},
      {"offset negative", file_of(one("F32", "[1]", "[-4,0]"), 4), "got -4"},
      {"offset beyond the file", file_of(one("F32", "[2]", "[0,8]"), 4), "<= 4"},
      {"offset 2^64", file_of(one("F32", "[1]", "[0,18446744073709551616]"), 4), "data_offsets"},
      {"overlap", file_of(two("[0,4]", "[2,6]"), 6), "overlap"},
      {"same bytes twice", file_of(two("[0,4]", "[0,4]"), 4), "overlap"},
      {"hole", file_of(two("[0,4]", "[8,12]"), 12), "hole"},
      {"hole in front", file_of(one("F32", "[1]", "[4,8]"), 8), "hole"},
      {"trailing bytes", file_of(one("F32", "[1]", "[0,4]"), 5), "wanted 4 bytes of data, got 5"},
      {"data without tensors", file_of("{}", 1), "wanted 0 bytes of data, got 1"},
      {"truncated body", good.substr(0, good.size() - 1), "<= 3"},
      {"size too small for the shape", file_of(one("F32", "[2]", "[0,4]"), 4), "wanted 8 bytes for F32 [2], got 4"},
      {"size too large for the shape", file_of(one("F32", "[1]", "[0,8]"), 8), "wanted 4 bytes for F32 [1], got 8"},
      {"half a byte", file_of(one("F4", "[3]", "[0,1]"), 1), "whole bytes"},
      {"too many tensors", file_of(many(static_cast<int>(kMaxTensors) + 1), 0), "at most 100000 tensors, got 100001"},
      {"name of 257 bytes", file_of("{" + entry(std::string(257, 'n'), "U8", "[1]", "[0,1]") + "}", 1), "256 bytes"},
      {"name with NUL", file_of("{" + entry("a\\u0000b", "U8", "[1]", "[0,1]") + "}", 1), "control"},
      {"name with ESC", file_of("{" + entry("\\u001b[2J", "U8", "[1]", "[0,1]") + "}", 1), "\\x1b"},
      {"name empty", file_of("{" + entry("", "U8", "[1]", "[0,1]") + "}", 1), "tensor name"},
      {"depth 10^5", file_of("{\"__metadata__\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}", 0),
       "64 levels"},
      {"1e999", file_of(one("F32", "[1]", "[0,1e999]"), 4), "1e999"},
      {"pickle", std::string("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20", 10), "torch.load"},
      {"PyTorch zip", std::string("PK\x03\x04\0\0\x08\x08\0\0\0\0", 12), "save_file"},
      {"index of shards", "{\n  \"metadata\": {\"total_size\": 1}, \"weight_map\": {}}", "index of shards"},
      {"Git LFS pointer", "version https://git-lfs.github.com/spec/v1\n", "Git LFS"},
  };
}

TEST(Safetensors, MalformedFilesAreRefusedByNameAndPlace) {
  for (const Case& c : malformed()) {
    const std::string says = message_of([&] { parse(c.file); });
    EXPECT_THAT(says, HasSubstr("[w.safetensors")) << c.name;
    EXPECT_THAT(says, HasSubstr(c.says)) << c.name;
    EXPECT_LT(says.size(), 700u) << c.name;
    EXPECT_EQ(says.find_first_of(std::string("\0\n\x1b", 3)), std::string::npos) << c.name << ": " << says;
  }
}

TEST(Safetensors, LegalOdditiesAreAccepted) {
  const std::vector<std::pair<std::string, std::string>> good = {
      {"one tensor", file_of(one("F32", "[1]", "[0,4]"), 4)},
      {"no tensors", file_of("{}", 0)},
      {"as many as allowed", file_of(many(static_cast<int>(kMaxTensors)), 0)},
      {"trailing blanks", file_of(one("F32", "[1]", "[0,4]") + "     ", 4)},
      {"empty metadata", file_of("{\"__metadata__\":{}}", 0)},
      {"rank 0", file_of(one("F32", "[]", "[0,4]"), 4)},
      {"a 0 dimension", file_of(one("F32", "[3,0]", "[0,0]"), 0)},
      {"a 0 dimension between others",
       file_of("{" + entry("a", "F32", "[1]", "[0,4]") + "," + entry("z", "F32", "[0]", "[4,4]") + "," +
                   entry("b", "F32", "[1]", "[4,8]") + "}",
               8)},
      {"rank 8", file_of(one("U8", "[1,1,1,1,1,1,1,1]", "[0,1]"), 1)},
      {"file order other than name order", file_of(two("[4,8]", "[0,4]"), 8)},
      {"F8_E4M3", file_of(one("F8_E4M3", "[2]", "[0,2]"), 2)},
      {"F4", file_of(one("F4", "[4]", "[0,2]"), 2)},
      {"F6_E2M3", file_of(one("F6_E2M3", "[4]", "[0,3]"), 3)},
      {"C64", file_of(one("C64", "[1]", "[0,8]"), 8)},
      {"name of 256 bytes", file_of("{" + entry(std::string(256, 'n'), "U8", "[1]", "[0,1]") + "}", 1)},
      {"name ../", file_of("{" + entry("../a", "U8", "[1]", "[0,1]") + "}", 1)},
      {"another key in an entry",
       file_of("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"more\":[1]}}", 1)},
  };
  for (const auto& [name, file] : good) EXPECT_EQ(message_of([&] { parse(file); }), "nothing was thrown") << name;
}

TEST(Safetensors, TensorsComeInTheOrderOfTheirBytesAndAreFoundByName) {
  std::string text = file_of(two("[4,8]", "[0,4]"), 0) + "BBBBAAAA";
  const SafetensorsFile file = parse(text);
  ASSERT_EQ(file.tensors().size(), 2u);
  EXPECT_EQ(file.tensors()[0].name, "b");
  ASSERT_NE(file.find("a"), nullptr);
  EXPECT_EQ(raw_values<char>(TensorInfo{"", StDType::U8, {4}, file.find("a")->bytes}),
            (std::vector<char>{'A', 'A', 'A', 'A'}));
  EXPECT_EQ(file.find("c"), nullptr);
}

std::vector<std::byte> written() {
  SafetensorsWriter writer;
  const std::vector<int32_t> planes(32, 7);
  writer.add("b.planes", StDType::I32, {2, 16}, std::as_bytes(std::span(planes)));
  writer.add("c.scale", Tensor::from({2, 16}, std::vector<float>(32, 0.5f)).to(DType::BF16));
  writer.add("z.weight", Tensor::from({4, 4}, std::vector<float>(16, 1.25f)));
  writer.add("a.scalar", Tensor::from({}, {3.0f}));
  writer.set_metadata("bits", "6 555");
  return writer.bytes();
}

TEST(SafetensorsWriter, RoundTripsWithAlignedDataWidestFormatsFirst) {
  const std::vector<std::byte> bytes = written();
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  EXPECT_EQ((8 + length) % 64, 0u);
  const SafetensorsFile file = SafetensorsFile::parse(bytes, "x");
  std::vector<std::string> names;
  for (const TensorInfo& info : file.tensors()) names.push_back(info.name);
  EXPECT_EQ(names, (std::vector<std::string>{"a.scalar", "z.weight", "b.planes", "c.scale"}));
  EXPECT_EQ(file.metadata(), (std::map<std::string, std::string>{{"bits", "6 555"}, {"format", "pt"}}));
  EXPECT_EQ(raw_values<int32_t>(*file.find("b.planes")), std::vector<int32_t>(32, 7));
  const Tensor scale = to_tensor(*file.find("c.scale"), "x");
  EXPECT_EQ(scale.shape(), Shape({2, 16}));
  EXPECT_EQ(scale.values(), std::vector<float>(32, 0.5f));
  EXPECT_EQ(to_tensor(*file.find("a.scalar"), "x").values(), std::vector<float>{3.0f});
}

TEST(SafetensorsWriter, WritesActivationsWithoutTheirPadding) {
  Tensor t = Tensor::activation(1, 1, 2, 3);
  for (int64_t r = 0; r < 2; ++r)
    for (int64_t c = 0; c < 3; ++c) t.row<float>(r)[c] = static_cast<float>(10 * r + c);
  SafetensorsWriter writer;
  writer.add("t", t);
  const std::vector<std::byte> bytes = writer.bytes();
  const SafetensorsFile file = SafetensorsFile::parse(bytes, "x");
  EXPECT_EQ(to_tensor(*file.find("t"), "x").values(), (std::vector<float>{0, 1, 2, 10, 11, 12}));
}

TEST(SafetensorsWriter, RefusesWhatTheReaderWouldRefuse) {
  SafetensorsWriter writer;
  const Tensor t = Tensor::zeros({2});
  writer.add("t", t);
  EXPECT_THROW(writer.add("t", t), InternalError);
  EXPECT_THROW(writer.add("", t), InternalError);
  EXPECT_THROW(writer.add("a\nb", t), InternalError);
  EXPECT_THROW(writer.add("__metadata__", t), InternalError);
  EXPECT_THROW(writer.add("u", StDType::F32, {3}, {}), InternalError);
}

template <class T>
TensorInfo info_of(StDType type, const std::vector<T>& values) {
  return {"conv1.weight", type, {static_cast<int64_t>(values.size())}, std::as_bytes(std::span(values))};
}

TEST(Safetensors, ConvertsEveryFloatFormat) {
  const std::vector<uint16_t> half = {0x0000, 0x8000, 0x3c00, 0xc000, 0x0001, 0x03ff, 0x0400, 0x7bff, 0x3555};
  const std::vector<float> wanted = {0.0f, -0.0f, 1.0f, -2.0f, 0x1p-24f, 0x1.ff8p-15f, 0x1p-14f, 65504.0f, 0x1.554p-2f};
  EXPECT_EQ(to_tensor(info_of(StDType::F16, half), "x").values(), wanted);
  EXPECT_TRUE(std::signbit(float_of_f16(0x8000)));
  EXPECT_EQ(float_of_f16(0xfc00), -INFINITY);
  EXPECT_TRUE(std::isnan(float_of_f16(0x7c01)));
  EXPECT_EQ(to_tensor(info_of<uint16_t>(StDType::BF16, {0x3fc0, 0xc000}), "x").values(),
            (std::vector<float>{1.5f, -2.0f}));
  EXPECT_EQ(to_tensor(info_of<double>(StDType::F64, {0.1, -3}), "x").values(), (std::vector<float>{0.1f, -3.0f}));
}

TEST(Safetensors, NonFiniteNumbersAreRefusedWithTensorAndIndex) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  for (const float bad : {kInf, -kInf, std::numeric_limits<float>::quiet_NaN()}) {
    const std::vector<float> values = {1, 2, bad};
    const TensorInfo info = info_of(StDType::F32, values);
    EXPECT_THAT(message_of([&] { to_tensor(info, "w.safetensors"); }),
                testing::AllOf(HasSubstr("w.safetensors"), HasSubstr("\"conv1.weight\""), HasSubstr("index 2")));
  }
  const std::vector<double> large = {1e39};
  EXPECT_THROW(to_tensor(info_of(StDType::F64, large), "x"), InputError);
  const std::vector<float> fine = {std::numeric_limits<float>::denorm_min(), 0, std::numeric_limits<float>::max()};
  EXPECT_NO_THROW(to_tensor(info_of(StDType::F32, fine), "x"));
}

TEST(Safetensors, IntegersAreNotTakenAsNumbersOfANetwork) {
  const std::vector<int64_t> values = {1};
  EXPECT_THAT(message_of([&] { to_tensor(info_of(StDType::I64, values), "w"); }), HasSubstr("got I64"));
}

}  // namespace
}  // namespace kronbit
