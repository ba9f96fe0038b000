#include "tensor/io/text.h"

#include <fmt/format.h>

#include <cstdint>

namespace kronbit {
namespace {

struct CodePoint {
  uint32_t value = 0;
  size_t length = 0;  // 0: malformed here
};

// Table 3-7 of the Unicode standard: the second byte's range depends on the first one.
CodePoint decode(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[at + i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return {first, 1};
  if (first < 0xC2 || first > 0xF4) return {};
  const size_t length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  if (text.size() - at < length) return {};
  const uint8_t lo = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
  const uint8_t hi = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
  if (byte(1) < lo || byte(1) > hi) return {};
  uint32_t value = first & (0x7Fu >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    value = value << 6 | (byte(i) & 0x3Fu);
  }
  return {value, length};
}

bool is_control(uint32_t c) { return c < 0x20 || (c >= 0x7F && c < 0xA0); }

// Marks that reorder or break the text around them.
bool is_direction_mark(uint32_t c) {
  return c == 0x061C || (c >= 0x200E && c <= 0x200F) || (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

}  // namespace

bool is_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = decode(text, at);
    if (c.length == 0) return false;
    at += c.length;
  }
  return true;
}

bool has_control_characters(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = decode(text, at);
    if (c.length != 0 && is_control(c.value)) return true;
    at += c.length == 0 ? 1 : c.length;
  }
  return false;
}

std::string printable(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = decode(text, at);
    const size_t length = c.length == 0 ? 1 : c.length;
    if (c.length == 0 || is_control(c.value) || is_direction_mark(c.value)) {
      for (size_t i = 0; i < length; ++i) out += fmt::format("\\x{:02x}", static_cast<uint8_t>(text[at + i]));
    } else {
      out += text.substr(at, length);
    }
    at += length;
  }
  return out;
}

std::string quote(std::string_view text, size_t longest) {
  if (text.size() <= longest) return "\"" + printable(text) + "\"";
  size_t end = longest;
  while (end > 0 && (static_cast<uint8_t>(text[end]) & 0xC0) == 0x80) --end;  // not inside a character
  return fmt::format("\"{}...\" ({} bytes)", printable(text.substr(0, end)), text.size());
}

}  // namespace kronbit
