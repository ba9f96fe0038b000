#include "tensor/bits.h"

#include <algorithm>
#include <charconv>

#include "tensor/base/error.h"

namespace kronbit {
namespace {

constexpr std::string_view kBlanks = " \t\n";

int bits_of(char digit, std::string_view text) {
  if (digit < '0' + kMinBits || digit > '0' + kMaxBits)
    input_error("bits", "\"{}\": wanted digits 1..8, words like 4x21 and blanks, got '{}'", text, digit);
  return digit - '0';
}

/// Appends what one word stands for.
void append_word(std::string_view word, std::string_view text, int64_t layers, Bits& bits) {
  const size_t cross = word.find('x');
  if (cross == std::string_view::npos) {
    for (const char digit : word) bits.push_back(bits_of(digit, text));
    return;
  }
  int64_t count = 0;
  const std::string_view number = word.substr(cross + 1);
  const auto [end, status] = std::from_chars(number.data(), number.data() + number.size(), count);
  if (cross != 1 || number.empty() || number.front() == '0' || status == std::errc::invalid_argument ||
      end != number.data() + number.size())
    input_error("bits", "\"{}\": wanted BITSxCOUNT such as 4x21, got \"{}\"", text, word);
  if (status != std::errc() || count < 1 || count > layers)
    input_error("bits", "\"{}\": wanted {} layers in all, got \"{}\"", text, layers, word);
  bits.insert(bits.end(), static_cast<size_t>(count), bits_of(word[0], text));
}

}  // namespace

Bits parse_bits(std::string_view text, int64_t layers) {
  KB_CHECK(layers >= 1);
  Bits bits;
  size_t words = 0;
  bool single_digit = false;
  for (size_t at = text.find_first_not_of(kBlanks); at != std::string_view::npos;) {
    const size_t end = std::min(text.find_first_of(kBlanks, at), text.size());
    append_word(text.substr(at, end - at), text, layers, bits);
    single_digit = end - at == 1;
    ++words;
    at = text.find_first_not_of(kBlanks, end);
  }
  if (words == 1 && single_digit) bits.assign(static_cast<size_t>(layers), bits[0]);
  if (static_cast<int64_t>(bits.size()) != layers)
    input_error("bits", "\"{}\": wanted {} layers, got {}", text, layers, bits.size());
  return bits;
}

std::string format_bits(const Bits& bits) {
  struct Group {
    int bits;
    size_t layers;
  };
  std::vector<Group> groups;
  size_t longest = 0;
  for (const int b : bits) {
    if (groups.empty() || groups.back().bits != b) groups.push_back({b, 0});
    longest = std::max(longest, ++groups.back().layers);
  }
  std::string text;
  for (const Group& group : groups) {
    if (!text.empty()) text += ' ';
    text += longest > 8 ? fmt::format("{}x{}", group.bits, group.layers)
                        : std::string(group.layers, static_cast<char>('0' + group.bits));
  }
  return text;
}

std::string digits(const Bits& bits) {
  std::string text;
  for (const int b : bits) text += static_cast<char>('0' + b);
  return text;
}

void check_bits(std::string_view where, const Bits& bits, int64_t layers) {
  if (static_cast<int64_t>(bits.size()) != layers)
    input_error(where, "bits: wanted {} layers, got {}", layers, bits.size());
  for (size_t layer = 0; layer < bits.size(); ++layer)
    if (bits[layer] < kMinBits || bits[layer] > kMaxBits)
      input_error(where, "bits of layer {}: wanted 1..8, got {}", layer, bits[layer]);
}

}  // namespace kronbit
