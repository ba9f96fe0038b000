// Text from files and command lines, made safe to print: nothing read from outside may draw on a terminal.
#pragma once

#include <string>
#include <string_view>

namespace kronbit {

/// True for well-formed UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(std::string_view text);

/// True when a byte below 0x20, DEL, or a C1 control (U+0080..U+009F) occurs.
bool has_control_characters(std::string_view text);

/// `text` with every control character, direction mark and malformed byte written as \xNN.
std::string printable(std::string_view text);

/// printable() between double quotes, cut after about `longest` bytes: for "got ..." in messages.
std::string quote(std::string_view text, size_t longest = 60);

}  // namespace kronbit
