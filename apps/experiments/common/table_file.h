// The file a table is recorded into: lines `# key: value`, the names of the columns, then one line per training and
// task, each with a CRC-32 of itself at its end and on the disk when it has been added. Cells are plain text without
// commas.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tensor/io/file.h"

namespace kronbit::experiments {

/// Of a recorded table; a file ends every line with one more, crc.
const std::vector<std::string>& table_columns();
/// Position of a column. Requires: there is one of this name.
size_t table_column(std::string_view name);

struct TableContent {
  std::vector<std::pair<std::string, std::string>> head;  ///< in the order of the file
  std::vector<std::vector<std::string>> rows;
  int64_t good_bytes = 0;  ///< without a torn last line
  bool exported = false;   ///< by exported_table(): no checksums, nothing can be added
  const std::string& cell(size_t row, std::string_view column) const { return rows[row][table_column(column)]; }
  std::string value(std::string_view key) const;  ///< of the head; "" when there is none
};

/// Reads a table, also while it is written, or an exported one. A last line that is torn is left out.
/// Throws: InputError "[FILE line N] ..." for any other line that is damaged.
TableContent read_table(const std::filesystem::path& path);

/// Adds rows to a new table or one that is there.
class TableWriter {
 public:
  /// Goes on with the table in `path` when there is one, cutting off a torn line, else makes it with this head.
  /// `fixed` are the keys whose values decide about every number: InputError when the table has others, or is exported.
  TableWriter(const std::filesystem::path& path, const std::vector<std::pair<std::string, std::string>>& head,
              const std::vector<std::string>& fixed);
  /// True when there is a row of this training and task; `epochs` as in the file.
  bool has(const std::string& bits, const std::string& seed, const std::string& epochs) const;
  /// True when nothing is left to do for this training: it failed, or all of `epochs` are there.
  bool done(const std::string& bits, const std::string& seed, const std::vector<std::string>& epochs) const;
  /// Requires: one cell per column, no line end or comma in them, a training and task that has no row.
  void add(const std::vector<std::string>& row);

 private:
  void remember(const std::vector<std::string>& row);
  std::set<std::vector<std::string>> keys_;  ///< bits, seed, epochs
  std::optional<AppendLog> log_;
};

/// The table with whole trainings only (all tasks, status ok), in the order of the plan, without checksums; the head
/// gets the numbers of trainings and of failed ones.
std::string exported_table(const TableContent& content);
/// The other way: with checksums, so that a TableWriter goes on with it.
std::string recordable_table(const TableContent& content);

}  // namespace kronbit::experiments
