#include "search/table.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "tensor/base/error.h"
#include "tensor/io/file.h"
#include "tensor/io/parse.h"
#include "tensor/io/text.h"

namespace kronbit::search {
namespace {

constexpr int64_t kMostBytes = int64_t{1} << 28;
constexpr double kMost = 1e15;

/// One line of the file as numbers.
struct Row {
  int64_t id = 0, seed = 0;
  std::string kind;
  Bits bits;
  std::vector<double> w;
  Cost cost;
  double epochs = 0.0, accuracy = 0.0, kl = 0.0, test = 0.0, train_seconds = 0.0, evaluation_seconds = 0.0;
  std::string where;
};

class Reader {
 public:
  explicit Reader(std::string_view where) : where_(where) {}

  /// The lines before the rows. Returns: true when this was the line of column names.
  bool read_head(const Line& line, const std::string& at) {
    const size_t colon = line.text.find(": ");
    if (line.text.starts_with("# ") && colon != std::string_view::npos) {
      head_[std::string(line.text.substr(2, colon - 2))] = line.text.substr(colon + 2);
      return false;
    }
    const std::vector<std::string> names = split(line.text, ',');
    for (size_t i = 0; i < names.size(); ++i)
      if (!columns_.emplace(names[i], i).second) input_error(at, "columns: wanted each once, got {} twice", names[i]);
    for (const char* name :
         {"id", "kind", "bits", "w", "seed", "epochs", "validation_correct", "validation_kl", "test_correct",
          "train_seconds", "evaluation_seconds", "bytes", "bops", "average_bits", "status"})
      if (!columns_.contains(name))
        input_error(at, "wanted `# key: value` or column names with {}, got {}", name, quote(line.text));
    validation_ = images("validation images", at);
    test_ = images("test images", at);
    return true;
  }

  /// Nothing when the status is not ok.
  void read_row(const Line& line, const std::string& at) {
    cells_ = split(line.text, ',');
    if (cells_.size() != columns_.size()) input_error(at, "columns: wanted {}, got {}", columns_.size(), cells_.size());
    if (cell("status") != "ok") return;
    Row row;
    row.where = at;
    row.id = parse_int(cell("id"), 0, INT64_MAX, at + " id");
    row.seed = parse_int(cell("seed"), 0, INT64_MAX, at + " seed");
    row.kind = cell("kind");
    for (const char digit : cell("bits")) {
      if (digit < '1' || digit > '8') input_error(at, "bits: wanted digits from 1 to 8, got {}", quote(cell("bits")));
      row.bits.push_back(digit - '0');
    }
    if (row.bits.empty() || (!rows_.empty() && row.bits.size() != rows_[0].bits.size()))
      input_error(at, "bits: wanted as many as in other rows, got {}", quote(cell("bits")));
    if (!cell("w").empty())
      for (const std::string& w : split(cell("w"), ' ')) row.w.push_back(parse_number(w, 0.0, 1.0, at + " w"));
    row.cost = {number("bytes", at), number("bops", at), number("average_bits", at), 0.0};
    row.epochs = number("epochs", at);
    row.accuracy = share("validation_correct", validation_, at);
    row.test = share("test_correct", test_, at);
    row.kl = number("validation_kl", at);
    row.train_seconds = number("train_seconds", at);
    row.evaluation_seconds = number("evaluation_seconds", at);
    rows_.push_back(std::move(row));
  }

  Table table(double most_epochs) {
    Table table;
    table.head = std::move(head_);
    table.test_images = static_cast<double>(test_);
    std::erase_if(rows_, [&](const Row& row) { return row.epochs > most_epochs; });
    if (rows_.empty()) input_error(where_, "wanted trainings, got none");
    for (const Row& row : rows_) table.epochs.push_back(row.epochs);
    std::sort(table.epochs.begin(), table.epochs.end());
    table.epochs.erase(std::unique(table.epochs.begin(), table.epochs.end()), table.epochs.end());
    std::stable_sort(rows_.begin(), rows_.end(), [](const Row& a, const Row& b) {
      return std::tie(a.id, a.seed, a.epochs) < std::tie(b.id, b.seed, b.epochs);
    });
    for (size_t first = 0, end = 0; first < rows_.size(); first = end) {
      while (end < rows_.size() && rows_[end].id == rows_[first].id && rows_[end].seed == rows_[first].seed) ++end;
      add_training(table, first, end);
    }
    if (table.configurations.empty()) input_error(where_, "wanted trainings that passed all tasks, got none");
    std::set<Bits> seen;
    for (const Recorded& recorded : table.configurations)
      if (!seen.insert(recorded.bits).second)
        input_error(where_, "id {}: wanted other bits than those of another id, got {}", recorded.id,
                    format_bits(recorded.bits));
    return table;
  }

 private:
  const std::string& cell(const std::string& column) const { return cells_[columns_.at(column)]; }
  double number(const std::string& column, const std::string& at) const {
    return parse_number(cell(column), 0.0, kMost, at + " " + column);
  }
  double share(const std::string& column, int64_t of, const std::string& at) const {
    return static_cast<double>(parse_int(cell(column), 0, of, at + " " + column)) / static_cast<double>(of);
  }
  int64_t images(const std::string& key, const std::string& at) const {
    const auto found = head_.find(key);
    if (found == head_.end()) input_error(at, "wanted the line `# {}: N` before the columns, got none", key);
    return parse_int(found->second, 1, INT64_MAX, std::string(where_) + " " + key);
  }

  // rows_[first, end): of one training.
  void add_training(Table& table, size_t first, size_t end) const {
    const Row& row = rows_[first];
    Training training;
    training.seed = row.seed;
    double trained = 0.0, evaluated = 0.0;
    for (size_t i = first; i < end; ++i) {
      if (i > first && rows_[i].epochs == rows_[i - 1].epochs)
        input_error(rows_[i].where, "wanted every task of a training once, got {} epochs twice", rows_[i].epochs);
      if (rows_[i].bits != row.bits) input_error(rows_[i].where, "bits: wanted those of the same id, got others");
      trained += rows_[i].train_seconds;
      evaluated += rows_[i].evaluation_seconds;
      training.accuracy.push_back(rows_[i].accuracy);
      training.kl.push_back(rows_[i].kl);
      training.test.push_back(rows_[i].test);
      training.seconds.push_back(trained + evaluated);
    }
    if (training.accuracy.size() != table.epochs.size()) return;
    if (table.configurations.empty() || table.configurations.back().id != row.id)
      table.configurations.push_back({row.id, row.kind, row.bits, row.w, row.cost, {}});
    if (table.configurations.back().bits != row.bits)
      input_error(row.where, "bits: wanted those of the same id, got others");
    table.configurations.back().trainings.push_back(std::move(training));
  }

  std::string_view where_;
  std::map<std::string, std::string> head_;
  std::map<std::string, size_t> columns_;
  int64_t validation_ = 1, test_ = 1;
  std::vector<std::string> cells_;
  std::vector<Row> rows_;
};

}  // namespace

size_t Table::trainings() const {
  size_t count = 0;
  for (const Recorded& recorded : configurations) count += recorded.trainings.size();
  return count;
}

std::vector<double> Table::median_seconds() const {
  std::vector<double> medians;
  for (size_t task = 0; task < epochs.size(); ++task) {
    std::vector<double> seconds;
    for (const Recorded& recorded : configurations)
      for (const Training& training : recorded.trainings) seconds.push_back(training.seconds[task]);
    std::sort(seconds.begin(), seconds.end());
    const size_t n = seconds.size();
    medians.push_back(n == 0 ? 0.0 : 0.5 * (seconds[(n - 1) / 2] + seconds[n / 2]));
  }
  return medians;
}

Table parse_table(std::string_view text, std::string_view where, double most_epochs) {
  Reader reader(where);
  bool columns = false;
  const std::vector<Line> lines = split_lines(text);
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string at = fmt::format("{} line {}", where, i + 1);
    if (!lines[i].complete) input_error(at, "wanted a whole line, got {}", quote(lines[i].text));
    if (columns) {
      reader.read_row(lines[i], at);
    } else {
      columns = reader.read_head(lines[i], at);
    }
  }
  if (!columns) input_error(where, "wanted a table, got no column names");
  return reader.table(most_epochs);
}

Table read_table(const std::filesystem::path& path, double most_epochs) {
  return parse_table(read_text(path, kMostBytes), path.string(), most_epochs);
}

}  // namespace kronbit::search
