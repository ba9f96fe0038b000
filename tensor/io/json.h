// The only way JSON enters and leaves. The reader refuses what others guess about: duplicate keys, deep nesting, bytes
// after the value, 3.7 or true where an integer is wanted. The writer refuses what would not be read back.
#pragma once

// No silent `int x = json["x"]`: values are taken with the functions below.
#define JSON_USE_IMPLICIT_CONVERSIONS 0

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/io/limits.h"

namespace kronbit {

/// A JSON value; objects keep the order of their keys.
using Json = nlohmann::ordered_json;

/// Parses exactly one JSON value in UTF-8 (blanks around it allowed). `where` (a file, "journal.jsonl line 7") opens
/// messages. Throws: InputError "[where] ..." for anything malformed, a duplicate key, depth > 64, NUL bytes, a byte
/// order mark, numbers beyond double, more than `max_bytes` or about a million values.
Json parse_json(std::string_view text, std::string_view where, int64_t max_bytes = kMaxJsonBytes);

/// parse_json of a regular file. Throws: InputError, also when it cannot be opened.
Json read_json(const std::filesystem::path& path, int64_t max_bytes = kMaxJsonBytes);

/// One line without a line end. Bytes that are not UTF-8 become U+FFFD.
/// Throws: InternalError for non-finite numbers and depth > 64.
std::string dump_line(const Json& json);
/// Indented by two, ending in a line end; what fits into 120 characters stands on one line, and numbers fill lines.
/// Otherwise as dump_line().
std::string dump_pretty(const Json& json);

// A value as a C++ type. `what` names it in the message: "[where] what: wanted ..., got ...". Throws: InputError.
int64_t as_int(const Json& value, int64_t lo, int64_t hi, std::string_view what, std::string_view where);
double as_number(const Json& value, double lo, double hi, std::string_view what, std::string_view where);  ///< finite
const std::string& as_string(const Json& value, std::string_view what, std::string_view where);
bool as_bool(const Json& value, std::string_view what, std::string_view where);

/// A JSON list of strings.
std::vector<std::string> parse_names(const std::string& text, std::string_view where);

// Members of an object. Throws: InputError when `object` is none, has no `key`, or holds another type or range there.
bool has(const Json& object, std::string_view key);  ///< false also when `object` is not an object
const Json& get(const Json& object, std::string_view key, std::string_view where);
const Json& get_object(const Json& object, std::string_view key, std::string_view where);
const Json& get_array(const Json& object, std::string_view key, std::string_view where);
int64_t get_int(const Json& object, std::string_view key, int64_t lo, int64_t hi, std::string_view where);
double get_number(const Json& object, std::string_view key, double lo, double hi, std::string_view where);
const std::string& get_string(const Json& object, std::string_view key, std::string_view where);
bool get_bool(const Json& object, std::string_view key, std::string_view where);
std::vector<int64_t> get_ints(const Json& object, std::string_view key, int64_t lo, int64_t hi, std::string_view where);
std::vector<double> get_numbers(const Json& object, std::string_view key, double lo, double hi, std::string_view where);
std::vector<std::string> get_strings(const Json& object, std::string_view key, std::string_view where);

}  // namespace kronbit
