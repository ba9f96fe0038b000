#include "apps/experiments/common/table_file.h"

#include <algorithm>

#include "tensor/base/error.h"
#include "tensor/bits.h"
#include "tensor/io/crc32.h"
#include "tensor/io/parse.h"
#include "tensor/io/text.h"

namespace kronbit::experiments {
namespace {

constexpr int64_t kMostBytes = int64_t{1} << 28;
constexpr const char* kContents = "contents";  // key of the head of an exported table

std::string joined(const std::vector<std::string>& cells) {
  std::string text;
  for (size_t i = 0; i < cells.size(); ++i) text += (i > 0 ? "," : "") + cells[i];
  return text;
}

std::string with_checksum(const std::string& line) { return line + "," + hex_of(crc32(line)); }
std::string recorded_columns() { return joined(table_columns()) + ",crc"; }

/// Cells of a row; nothing when the checksum says that it is not whole.
std::optional<std::vector<std::string>> whole_row(std::string_view line) {
  const size_t comma = line.rfind(',');
  if (comma == std::string_view::npos || hex_of(crc32(line.substr(0, comma))) != line.substr(comma + 1)) {
    return std::nullopt;
  }
  return split(line.substr(0, comma), ',');
}

void check_row(const std::vector<std::string>& row, const std::string& where) {
  if (row.size() != table_columns().size()) {
    input_error(where, "columns: wanted {}, got {}", table_columns().size(), row.size());
  }
  const std::string& bits = row[table_column("bits")];
  if (bits.empty() || bits.find_first_not_of("12345678") != std::string::npos) {
    input_error(where, "bits: wanted digits from 1 to 8, got {}", quote(bits));
  }
  parse_int(row[table_column("id")], 0, INT64_MAX, where + " id");
  parse_int(row[table_column("seed")], 1, INT64_MAX, where + " seed");
  if (row[table_column("status")] != "ok") return;
  for (const char* name : {"epochs", "validation_nll", "validation_kl", "test_nll", "train_seconds",
                           "evaluation_seconds", "average_bits"}) {
    parse_number(row[table_column(name)], 0, 1e300, where + " " + name);
  }
  for (const char* name : {"validation_correct", "test_correct", "bytes", "bops"})
    parse_int(row[table_column(name)], 0, INT64_MAX, where + " " + name);
}

std::string head_text(const std::vector<std::pair<std::string, std::string>>& head) {
  std::string text;
  for (const auto& [key, value] : head) text += fmt::format("# {}: {}\n", key, printable(value));
  return text;
}

}  // namespace

const std::vector<std::string>& table_columns() {
  static const std::vector<std::string> names = {"id",
                                                 "kind",
                                                 "bits",
                                                 "w",
                                                 "seed",
                                                 "epochs",
                                                 "validation_correct",
                                                 "validation_nll",
                                                 "validation_kl",
                                                 "test_correct",
                                                 "test_nll",
                                                 "train_loss",
                                                 "train_seconds",
                                                 "evaluation_seconds",
                                                 "bytes",
                                                 "bops",
                                                 "average_bits",
                                                 "status"};
  return names;
}

size_t table_column(std::string_view name) {
  const std::vector<std::string>& names = table_columns();
  const auto found = std::find(names.begin(), names.end(), name);
  KB_CHECK(found != names.end());
  return static_cast<size_t>(found - names.begin());
}

std::string TableContent::value(std::string_view key) const {
  for (const auto& [name, text] : head)
    if (name == key) return text;
  return "";
}

TableContent read_table(const std::filesystem::path& path) {
  const std::string text = read_text(path, kMostBytes);
  const std::vector<Line> lines = split_lines(text);
  TableContent content;
  bool columns = false;
  for (size_t i = 0; i < lines.size(); ++i) {
    const Line& line = lines[i];
    const std::string where = fmt::format("{} line {}", path.string(), i + 1);
    if (columns) {
      const std::optional<std::vector<std::string>> row =
          content.exported ? split(line.text, ',') : whole_row(line.text);
      if (!line.complete || (!row && i + 1 == lines.size())) break;
      if (!row) input_error(where, "wanted a row with its checksum, got {}", quote(line.text));
      check_row(*row, where);
      content.rows.push_back(*row);
    } else if (line.text.starts_with("# ") && line.text.find(": ") != std::string_view::npos) {
      const size_t colon = line.text.find(": ");
      content.head.emplace_back(line.text.substr(2, colon - 2), line.text.substr(colon + 2));
    } else if (line.complete && (line.text == recorded_columns() || line.text == joined(table_columns()))) {
      columns = true;
      content.exported = line.text != recorded_columns();
    } else {
      input_error(where, "wanted `# key: value` or the columns of a table, got {}", quote(line.text));
    }
    content.good_bytes = line.offset + std::ssize(line.text) + 1;
  }
  if (!columns) input_error(path.string(), "wanted a recorded table, got no columns");
  return content;
}

TableWriter::TableWriter(const std::filesystem::path& path,
                         const std::vector<std::pair<std::string, std::string>>& head,
                         const std::vector<std::string>& fixed) {
  if (!std::filesystem::exists(path)) publish(path, head_text(head) + recorded_columns() + "\n");
  const TableContent content = read_table(path);
  if (content.exported) input_error(path.string(), "wanted rows with checksums, got an exported table; use --from");
  for (const auto& [key, value] : head) {
    if (std::find(fixed.begin(), fixed.end(), key) == fixed.end() || content.value(key) == printable(value)) continue;
    input_error(path.string(), "{}: wanted what the table was begun with, {}, got {}; choose another --out", key,
                content.value(key), value);
  }
  for (const auto& row : content.rows) remember(row);
  log_ = AppendLog::resume(path, content.good_bytes);
}

void TableWriter::remember(const std::vector<std::string>& row) {
  const auto cell = [&](const char* name) { return row[table_column(name)]; };
  keys_.insert({cell("bits"), cell("seed"), cell("epochs")});
}

bool TableWriter::has(const std::string& bits, const std::string& seed, const std::string& epochs) const {
  return keys_.contains({bits, seed, epochs});
}

bool TableWriter::done(const std::string& bits, const std::string& seed, const std::vector<std::string>& epochs) const {
  return has(bits, seed, "") ||
         std::all_of(epochs.begin(), epochs.end(), [&](const std::string& e) { return has(bits, seed, e); });
}

void TableWriter::add(const std::vector<std::string>& row) {
  const std::string line = joined(row);
  KB_CHECK_EQ(split(line, ',').size(), table_columns().size());
  KB_CHECK(!has(row[table_column("bits")], row[table_column("seed")], row[table_column("epochs")]));
  log_->append(with_checksum(line));
  remember(row);
}

std::string exported_table(const TableContent& content) {
  const size_t tasks = split(content.value("tasks"), ' ').size();
  std::map<std::pair<int64_t, int64_t>, std::vector<size_t>> trainings;  // (id, seed) -> rows
  int64_t failed = 0, whole = 0;
  for (size_t i = 0; i < content.rows.size(); ++i) {
    if (content.cell(i, "status") != "ok") {
      ++failed;
      continue;
    }
    trainings[{parse_int(content.cell(i, "id"), 0, INT64_MAX, "id"),
               parse_int(content.cell(i, "seed"), 1, INT64_MAX, "seed")}]
        .push_back(i);
  }
  std::string rows;
  std::set<int64_t> configurations;
  for (auto& [key, places] : trainings) {
    if (places.size() != tasks) continue;
    ++whole;
    configurations.insert(key.first);
    const auto epochs = [&](size_t i) { return parse_number(content.cell(i, "epochs"), 0, 1e6, "epochs"); };
    std::sort(places.begin(), places.end(), [&](size_t a, size_t b) { return epochs(a) < epochs(b); });
    for (const size_t i : places) rows += joined(content.rows[i]) + "\n";
  }
  std::vector<std::pair<std::string, std::string>> head = content.head;
  head.emplace_back(kContents, fmt::format("{} configurations, {} trainings; {} failed ones left out",
                                           configurations.size(), whole, failed));
  return head_text(head) + joined(table_columns()) + "\n" + rows;
}

std::string recordable_table(const TableContent& content) {
  std::vector<std::pair<std::string, std::string>> head = content.head;
  std::erase_if(head, [](const auto& line) { return line.first == kContents; });
  std::string text = head_text(head) + recorded_columns() + "\n";
  for (const std::vector<std::string>& row : content.rows) text += with_checksum(joined(row)) + "\n";
  return text;
}

}  // namespace kronbit::experiments
