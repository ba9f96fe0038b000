#include "tensor/io/json.h"

#include <cmath>
#include <unordered_set>

#include "tensor/base/error.h"
#include "tensor/io/file.h"
#include "tensor/io/text.h"

namespace kronbit {
namespace {

// Builds the value from the parser's events and stops (returns false) at the first thing we do not take.
class Builder {
 public:
  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(int64_t value) { return add(value); }
  bool number_unsigned(uint64_t value) { return add(value); }
  bool number_float(double value, const std::string&) { return add(value); }
  bool string(std::string& value) { return add(std::move(value)); }
  bool binary(Json::binary_t&) { return fail("binary values are not JSON"); }
  bool start_object(size_t) { return open(Json::object()); }
  bool start_array(size_t) { return open(Json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }

  bool key(std::string& name) {
    if (!open_.back().keys.insert(name).second) return fail("duplicate key " + quote(name));
    key_ = std::move(name);
    return true;
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 5: syntax error ...; last read: '...'"
    static constexpr std::string_view kAt = "parse error at ";
    std::string_view text = error.what();
    const size_t at = text.find(kAt);
    const std::string place = at == std::string_view::npos ? fmt::format("byte {}: ", position) : "";
    text.remove_prefix(at == std::string_view::npos ? text.find(' ') + 1 : at + kAt.size());
    return fail(place + printable(text.substr(0, 160)));
  }

  const std::string& error() const { return error_; }
  Json take() { return std::move(root_); }

 private:
  struct Open {
    Json* value;
    std::unordered_set<std::string> keys;  // of an object: looking into the ordered object itself would be quadratic
  };

  // Puts `value` where the text stands: the root, the end of the open array, the last key of the open object.
  Json* place(Json value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json& parent = *open_.back().value;
    if (parent.is_array()) return &parent.get_ref<Json::array_t&>().emplace_back(std::move(value));
    auto& members = parent.get_ref<Json::object_t&>();
    members.emplace_back(std::move(key_), std::move(value));
    return &members.back().second;
  }

  bool add(Json value) {
    if (++values_ > kMaxJsonValues) return fail(fmt::format("wanted at most {} values", kMaxJsonValues));
    place(std::move(value));
    return true;
  }

  bool open(Json value) {
    if (++values_ > kMaxJsonValues) return fail(fmt::format("wanted at most {} values", kMaxJsonValues));
    if (static_cast<int64_t>(open_.size()) >= kMaxJsonDepth) {
      return fail(fmt::format("wanted at most {} levels of nesting", kMaxJsonDepth));
    }
    Json* placed = place(std::move(value));
    open_.push_back({placed, {}});
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  bool fail(std::string message) {
    error_ = std::move(message);
    return false;
  }

  Json root_;
  std::vector<Open> open_;
  std::string key_;
  int64_t values_ = 0;
  std::string error_;
};

// "3.7", "\"text\"", "an array": for "got ..." in messages.
std::string describe(const Json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array";
  if (value.is_string()) return quote(value.get_ref<const std::string&>());
  return value.dump();
}

void check_writable(const Json& value, int64_t depth) {
  if (value.is_number_float() && !std::isfinite(value.get<double>())) {
    throw InternalError("JSON writer: a number is not finite");
  }
  if (!value.is_structured()) return;
  KB_CHECK(depth < kMaxJsonDepth);
  for (const Json& child : value) check_writable(child, depth + 1);
}

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

/// {"a": 1, "b": [2, 3]}
std::string on_one_line(const Json& json) {
  if (!json.is_structured()) return dump(json);
  std::string text;
  for (auto it = json.begin(); it != json.end(); ++it) {
    if (it != json.begin()) text += ", ";
    if (json.is_object()) text += dump(it.key()) + ": ";
    text += on_one_line(*it);
  }
  return json.is_object() ? "{" + text + "}" : "[" + text + "]";
}

void append_pretty(const Json& json, size_t indent, std::string& text) {
  constexpr size_t kWidth = 120;
  const std::string line = on_one_line(json);
  if (!json.is_structured() || indent + line.size() <= kWidth) {
    text += line;
    return;
  }
  const std::string line_end = "\n" + std::string(indent + 2, ' ');
  text += json.is_object() ? "{" : "[";
  size_t line_begin = 0;  // nowhere on the line of the bracket
  for (auto it = json.begin(); it != json.end(); ++it) {
    if (it != json.begin()) text += ",";
    // Numbers share lines; what is structured, or has a key, begins one.
    const bool shares = json.is_array() && it->is_number() && line_begin > 0;
    if (shares && text.size() - line_begin + dump(*it).size() + 3 <= kWidth) {
      text += " ";
    } else {
      text += line_end;
      line_begin = text.size() - line_end.size() + 1;
    }
    if (json.is_object()) text += dump(it.key()) + ": ";
    append_pretty(*it, indent + 2, text);
  }
  text += "\n" + std::string(indent, ' ') + (json.is_object() ? "}" : "]");
}

// The array under `key`, each element taken by `as(element, what)`.
template <class T, class As>
std::vector<T> get_all(const Json& object, std::string_view key, std::string_view where, As as) {
  const Json& array = get_array(object, key, where);
  std::vector<T> values;
  values.reserve(array.size());
  for (const Json& element : array) values.push_back(as(element, fmt::format("{}[{}]", key, values.size())));
  return values;
}

}  // namespace

Json parse_json(std::string_view text, std::string_view where, int64_t max_bytes) {
  if (static_cast<int64_t>(text.size()) > max_bytes) {
    input_error(where, "wanted at most {} bytes of JSON, got {}", max_bytes, text.size());
  }
  // The parser would take a NUL for the end of the text and skip a byte order mark.
  if (const size_t nul = text.find('\0'); nul != std::string_view::npos) {
    input_error(where, "byte {}: wanted JSON, got a NUL byte", nul + 1);
  }
  if (text.starts_with("\xEF\xBB\xBF")) input_error(where, "wanted JSON without a byte order mark");
  Builder builder;
  if (!Json::sax_parse(text, &builder)) input_error(where, "{}", builder.error());
  return builder.take();
}

Json read_json(const std::filesystem::path& path, int64_t max_bytes) {
  return parse_json(read_text(path, max_bytes), printable(path.native()), max_bytes);
}

std::string dump_line(const Json& json) {
  check_writable(json, 0);
  return dump(json);
}

std::string dump_pretty(const Json& json) {
  check_writable(json, 0);
  std::string text;
  append_pretty(json, 0, text);
  return text + "\n";
}

int64_t as_int(const Json& value, int64_t lo, int64_t hi, std::string_view what, std::string_view where) {
  const bool fits =
      value.is_number_unsigned() ? value.get<uint64_t>() <= uint64_t{INT64_MAX} : value.is_number_integer();
  const int64_t number = fits ? value.get<int64_t>() : 0;
  if (!fits || number < lo || number > hi) {
    input_error(where, "{}: wanted a whole number from {} to {}, got {}", printable(what), lo, hi, describe(value));
  }
  return number;
}

double as_number(const Json& value, double lo, double hi, std::string_view what, std::string_view where) {
  const double number = value.is_number() ? value.get<double>() : NAN;
  if (!std::isfinite(number) || number < lo || number > hi) {
    input_error(where, "{}: wanted a number from {} to {}, got {}", printable(what), lo, hi, describe(value));
  }
  return number;
}

const std::string& as_string(const Json& value, std::string_view what, std::string_view where) {
  if (!value.is_string()) input_error(where, "{}: wanted a string, got {}", printable(what), describe(value));
  return value.get_ref<const std::string&>();
}

std::vector<std::string> parse_names(const std::string& text, std::string_view where) {
  const Json list = parse_json(text, where);
  if (!list.is_array()) input_error(where, "wanted a list of names, got {}", describe(list));
  std::vector<std::string> names;
  for (const Json& name : list) names.push_back(as_string(name, "name", where));
  return names;
}

bool as_bool(const Json& value, std::string_view what, std::string_view where) {
  if (!value.is_boolean()) input_error(where, "{}: wanted true or false, got {}", printable(what), describe(value));
  return value.get<bool>();
}

bool has(const Json& object, std::string_view key) {
  return object.is_object() && object.find(std::string(key)) != object.end();
}

const Json& get(const Json& object, std::string_view key, std::string_view where) {
  if (!object.is_object()) input_error(where, "wanted an object with {}, got {}", quote(key), describe(object));
  const auto found = object.find(std::string(key));
  if (found == object.end()) input_error(where, "{}: wanted this key, got none", printable(key));
  return *found;
}

const Json& get_object(const Json& object, std::string_view key, std::string_view where) {
  const Json& value = get(object, key, where);
  if (!value.is_object()) input_error(where, "{}: wanted an object, got {}", printable(key), describe(value));
  return value;
}

const Json& get_array(const Json& object, std::string_view key, std::string_view where) {
  const Json& value = get(object, key, where);
  if (!value.is_array()) input_error(where, "{}: wanted an array, got {}", printable(key), describe(value));
  return value;
}

int64_t get_int(const Json& object, std::string_view key, int64_t lo, int64_t hi, std::string_view where) {
  return as_int(get(object, key, where), lo, hi, key, where);
}

double get_number(const Json& object, std::string_view key, double lo, double hi, std::string_view where) {
  return as_number(get(object, key, where), lo, hi, key, where);
}

const std::string& get_string(const Json& object, std::string_view key, std::string_view where) {
  return as_string(get(object, key, where), key, where);
}

bool get_bool(const Json& object, std::string_view key, std::string_view where) {
  return as_bool(get(object, key, where), key, where);
}

std::vector<int64_t> get_ints(const Json& object, std::string_view key, int64_t lo, int64_t hi,
                              std::string_view where) {
  return get_all<int64_t>(object, key, where, [&](const Json& element, const std::string& what) {
    return as_int(element, lo, hi, what, where);
  });
}

std::vector<double> get_numbers(const Json& object, std::string_view key, double lo, double hi,
                                std::string_view where) {
  return get_all<double>(object, key, where, [&](const Json& element, const std::string& what) {
    return as_number(element, lo, hi, what, where);
  });
}

std::vector<std::string> get_strings(const Json& object, std::string_view key, std::string_view where) {
  return get_all<std::string>(object, key, where, [&](const Json& element, const std::string& what) {
    return as_string(element, what, where);
  });
}

}  // namespace kronbit
