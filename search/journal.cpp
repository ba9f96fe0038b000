#include "search/journal.h"

#include <map>
#include <set>

#include "tensor/base/error.h"
#include "tensor/io/crc32.h"

namespace kronbit::search {
namespace {

constexpr std::string_view kCrcKey = ",\"crc\":\"";
constexpr size_t kCrcTail = kCrcKey.size() + 8 + 2;  // ,"crc":"01234567"}

std::string sealed(const Json& line) {
  std::string text = dump_line(line);
  text.pop_back();
  const std::string crc = hex_of(crc32(text));
  return text.append(kCrcKey).append(crc).append("\"}");
}

/// The object of a line. Throws: InputError for anything that sealed() has not written.
Json opened(std::string_view text, int64_t number, std::string_view where) {
  if (text.size() <= kCrcTail) input_error(where, "wanted a journal line, got {} bytes", text.size());
  const std::string_view body = text.substr(0, text.size() - kCrcTail);
  const std::string_view tail = text.substr(body.size());
  const std::string crc = hex_of(crc32(body));
  if (tail != fmt::format("{}{}\"}}", kCrcKey, crc)) input_error(where, "wanted checksum {}, got another one", crc);
  Json line = parse_json(text, where, kMaxJournalLineBytes);
  if (get_int(line, "n", 0, INT64_MAX, where) != number)
    input_error(where, "n: wanted {}, got {}", number, dump_line(line["n"]));
  get_string(line, "event", where);
  return line;
}

void check_settings_line(const Json& line, std::string_view where) {
  if (get_string(line, "event", where) != "settings")
    input_error(where, "wanted the settings of a run, got another event");
  const int64_t schema = get_int(line, "schema", 1, INT64_MAX, where);
  if (schema != kJournalSchema)
    input_error(where, "schema: wanted {}, got {}: written by a newer version", kJournalSchema, schema);
}

AppendLog open_log(const std::filesystem::path& folder, const JournalContent& content) {
  const std::filesystem::path path = folder / kJournalName;
  if (!content.torn.empty()) publish(folder / "journal.torn", content.torn);
  return std::filesystem::exists(path) ? AppendLog::resume(path, content.whole_bytes) : AppendLog::create(path);
}

/// Every leaf of a JSON value by its path: "optimiser.lr" -> "0.01".
void flatten(const Json& value, const std::string& path, std::map<std::string, std::string>& leaves) {
  if (!value.is_object() || value.empty()) {
    leaves[path] = dump_line(value);
    return;
  }
  for (const auto& [key, child] : value.items()) flatten(child, path.empty() ? key : path + "." + key, leaves);
}

}  // namespace

JournalContent read_journal(const std::filesystem::path& folder) {
  JournalContent content;
  const std::filesystem::path path = folder / kJournalName;
  if (!std::filesystem::exists(path)) return content;
  const std::string text = read_text(path, kMaxJournalBytes);
  for (const Line& line : split_lines(text)) {
    const int64_t number = static_cast<int64_t>(content.lines.size());
    const std::string where = fmt::format("{} line {}", path.string(), number + 1);
    const size_t end = static_cast<size_t>(line.offset) + line.text.size() + (line.complete ? 1 : 0);
    if (!line.complete) {
      content.torn = line.text;
      break;
    }
    try {
      content.lines.push_back(opened(line.text, number, where));
    } catch (const InputError&) {
      // A whole first line that is not ours belongs to somebody else's file, unless a power cut has left NUL bytes in
      // it.
      const bool foreign = number == 0 && line.text.find('\0') == std::string_view::npos;
      if (end != text.size() || foreign) throw;
      content.torn = text.substr(static_cast<size_t>(line.offset));
      break;
    }
    if (number == 0) check_settings_line(content.lines[0], where);
    content.whole_bytes = static_cast<int64_t>(end);
  }
  return content;
}

Journal::Journal(const std::filesystem::path& folder, const JournalContent& content)
    : log_(open_log(folder, content)), lines_(content.lines) {
  KB_CHECK_EQ(log_.size(), content.whole_bytes);
}

void Journal::append(Json line) {
  Json numbered = {{"event", line.at("event")}, {"n", lines_.size()}};
  for (const auto& [key, value] : line.items())
    if (key != "event") numbered[key] = value;
  const std::string text = sealed(numbered);
  log_.append(text);
  lines_.push_back(parse_json(text, kJournalName, kMaxJournalLineBytes));
}

const Json* find_note(const std::vector<Json>& lines, std::string_view key) {
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
    const bool notes = (*line)["event"] == "settings" || (*line)["event"] == "resumed";
    if (notes && has(*line, key)) return &get(*line, key, kJournalName);
  }
  return nullptr;
}

std::optional<Json> resumed_line(const std::vector<Json>& lines, const Json& notes) {
  const auto told = [&](const auto& note) {
    const Json* const before = find_note(lines, note.key());
    return before && *before == note.value();
  };
  bool same = true;
  for (const auto& note : notes.items()) same = same && told(note);
  if (same) return std::nullopt;
  Json line = {{"event", "resumed"}};
  line.update(notes);
  return line;
}

void check_same_settings(const Json& old_settings, const Json& new_settings, std::string_view where) {
  std::map<std::string, std::string> old_leaves, new_leaves;
  flatten(old_settings, "", old_leaves);
  flatten(new_settings, "", new_leaves);
  std::set<std::string> paths;
  for (const auto& [path, value] : old_leaves) paths.insert(path);
  for (const auto& [path, value] : new_leaves) paths.insert(path);
  const auto text = [](const std::map<std::string, std::string>& leaves, const std::string& path) {
    const auto found = leaves.find(path);
    return found == leaves.end() ? std::string("nothing") : found->second;
  };
  std::string differences;
  for (const std::string& path : paths)
    if (text(old_leaves, path) != text(new_leaves, path))
      differences += fmt::format("{}{}: {} in the run, {} now", differences.empty() ? "" : "; ", path,
                                 text(old_leaves, path), text(new_leaves, path));
  if (!differences.empty())
    input_error(where, "settings: wanted those of the existing run, got others: {}", differences);
}

}  // namespace kronbit::search
