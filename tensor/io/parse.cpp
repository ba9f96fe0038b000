#include "tensor/io/parse.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "tensor/base/error.h"
#include "tensor/io/text.h"

namespace kronbit {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// "010" is ten to some readers and eight to others.
bool has_leading_zero(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  return text.size() > 1 && text[0] == '0' && is_digit(text[1]);
}

// The whole of `text` as a number of type T: false when it is not one, or out of T's range.
template <class T>
bool read_whole(std::string_view text, T& value) {
  if (text.empty() || has_leading_zero(text)) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

bool read_finite(std::string_view text, double& value) { return read_whole(text, value) && std::isfinite(value); }

struct Unit {
  std::string_view name;
  double factor;
};

// "3.5MB" -> 3.5 * factor of MB; NaN when the number or the unit is none of these.
template <size_t N>
double read_with_unit(std::string_view text, const Unit (&units)[N]) {
  size_t cut = text.size();
  while (cut > 0 && ((text[cut - 1] | 0x20) >= 'a' && (text[cut - 1] | 0x20) <= 'z')) --cut;
  double value = 0;
  if (!read_finite(text.substr(0, cut), value)) return NAN;
  for (const Unit& unit : units) {
    if (text.substr(cut) == unit.name) return value * unit.factor;
  }
  return NAN;
}

}  // namespace

int64_t parse_int(std::string_view text, int64_t lo, int64_t hi, std::string_view what) {
  int64_t value = 0;
  if (!read_whole(text, value) || value < lo || value > hi) {
    input_error(what, "wanted a whole number from {} to {}, got {}", lo, hi, quote(text));
  }
  return value;
}

double parse_number(std::string_view text, double lo, double hi, std::string_view what) {
  double value = 0;
  if (!read_finite(text, value) || value < lo || value > hi) {
    input_error(what, "wanted a number from {} to {}, got {}", lo, hi, quote(text));
  }
  return value;
}

int64_t parse_bytes(std::string_view text, std::string_view what) {
  static constexpr Unit kUnits[] = {
      {"B", 1}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"KiB", 1024}, {"MiB", 1024.0 * 1024}, {"GiB", 1 << 30}};
  const double bytes = read_with_unit(text, kUnits);
  if (!(bytes >= 0 && bytes <= 1e18)) {
    input_error(what, "wanted a size such as 3.5MB (units B, KB, MB, GB, KiB, MiB, GiB), got {}", quote(text));
  }
  return std::llround(bytes);
}

double parse_duration(std::string_view text, std::string_view what) {
  static constexpr Unit kUnits[] = {{"s", 1}, {"m", 60}, {"min", 60}, {"h", 3600}, {"d", 86400}};
  constexpr std::string_view kNumber = "0123456789.";
  double seconds = 0;
  std::string_view rest = text;
  do {
    const size_t unit = std::min(rest.find_first_not_of(kNumber), rest.size());
    const size_t end = std::min(rest.find_first_of(kNumber, unit), rest.size());
    seconds += read_with_unit(rest.substr(0, end), kUnits);
    rest.remove_prefix(end);
  } while (!rest.empty());
  if (!(seconds > 0 && seconds <= 366 * 86400.0)) {
    input_error(what, "wanted a time above 0 and up to 366d, such as 90s, 30min, 2h, 3h50m or 1d, got {}", quote(text));
  }
  return seconds;
}

double parse_milliseconds(std::string_view text, std::string_view what) {
  static constexpr Unit kUnits[] = {{"us", 1e-3}, {"ms", 1}, {"s", 1e3}};
  const double milliseconds = read_with_unit(text, kUnits);
  if (!(milliseconds > 0 && milliseconds <= 3.6e6)) {
    input_error(what, "wanted a time above 0 and up to 3600s, such as 2ms, 350us or 0.5s, got {}", quote(text));
  }
  return milliseconds;
}

double parse_percent_or_fraction(std::string_view text, std::string_view what) {
  const bool percent = text.ends_with('%');
  double value = 0;
  const bool read = read_finite(percent ? text.substr(0, text.size() - 1) : text, value);
  if (percent) value /= 100;
  if (!read || value < 0 || value > 1) {
    input_error(what, "wanted a share such as 0.5% or 0.005, from 0 to 1, got {}", quote(text));
  }
  return value;
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> pieces;
  for (;;) {
    const size_t cut = text.find(separator);
    pieces.emplace_back(text.substr(0, cut));
    if (cut == std::string_view::npos) return pieces;
    text.remove_prefix(cut + 1);
  }
}

std::vector<int64_t> parse_ints(std::string_view text, int64_t lo, int64_t hi, std::string_view what) {
  std::vector<int64_t> values;
  for (const std::string& piece : split(text, ',')) values.push_back(parse_int(piece, lo, hi, what));
  return values;
}

std::vector<double> parse_numbers(std::string_view text, double lo, double hi, std::string_view what) {
  std::vector<double> values;
  for (const std::string& piece : split(text, ',')) values.push_back(parse_number(piece, lo, hi, what));
  return values;
}

}  // namespace kronbit
