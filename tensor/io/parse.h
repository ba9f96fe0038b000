// Numbers, sizes and lists from command lines and files: whole string or nothing, whatever the locale.
// Refused everywhere: blanks, a leading +, needless leading zeros, hexadecimal, nan, inf, out of range.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kronbit {

// Every function throws InputError `[what] wanted ..., got "text"`.

/// A whole number in [lo, hi].
int64_t parse_int(std::string_view text, int64_t lo, int64_t hi, std::string_view what);

/// A finite decimal number in [lo, hi], decimal point `.`.
double parse_number(std::string_view text, double lo, double hi, std::string_view what);

/// "3.5MB" and the like, rounded to whole bytes. Units: B, KB MB GB = 1000^k, KiB MiB GiB = 1024^k; a unit is required.
int64_t parse_bytes(std::string_view text, std::string_view what);

/// "90s", "30min" or "30m", "2h", "1.5d", or a sum such as "3h50m", in seconds, above 0 and at most 366 days; a unit is required.
double parse_duration(std::string_view text, std::string_view what);

/// "2ms", "350us", "0.5s" in milliseconds, above 0 and at most an hour; a unit is required.
double parse_milliseconds(std::string_view text, std::string_view what);

/// "0.5%" or "0.005", both 0.005; in [0, 1].
double parse_percent_or_fraction(std::string_view text, std::string_view what);

/// Pieces between separators, empty ones kept: "a,,b" gives three, "" gives one.
std::vector<std::string> split(std::string_view text, char separator);

/// Comma-separated whole numbers, one at least.
std::vector<int64_t> parse_ints(std::string_view text, int64_t lo, int64_t hi, std::string_view what);

/// Comma-separated numbers, one at least.
std::vector<double> parse_numbers(std::string_view text, double lo, double hi, std::string_view what);

}  // namespace kronbit
