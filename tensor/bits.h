// Bits per layer: the list of numbers the whole program is about, and its text form.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kronbit {

/// One number of bits (1..8) per convolution layer, in order of execution.
using Bits = std::vector<int>;

inline constexpr int kMinBits = 1;
inline constexpr int kMaxBits = 8;

/// Reads a bit list for `layers` layers. Words are separated by blanks; a word of digits gives each digit to one layer,
/// "4x21" gives 4 bits to 21 layers; a single digit alone means every layer.
/// Examples: "6 555 44 333 22 11" (13 layers), "4x21 3x27 2x16" (64 layers), "4" (any number of layers)
/// Units:    bits 1..8
/// Throws:   InputError for any other character, 0 or 9 bits, or a list of the wrong length.
Bits parse_bits(std::string_view text, int64_t layers);

/// The same text back, equal neighbours grouped: "6 555 44 333 22 11", or "4x21 3x27 2x16" once a group has more than 8
/// layers. parse_bits(format_bits(b), b.size()) == b.
std::string format_bits(const Bits& bits);

/// One digit per layer and nothing else, for names of files: "6555443332211".
std::string digits(const Bits& bits);

/// Throws: InputError naming `where` unless there are `layers` numbers, each 1..8.
void check_bits(std::string_view where, const Bits& bits, int64_t layers);

}  // namespace kronbit
