// The journal of a run: one JSON object per line, appended and synced before anything else learns of it. It is the
// truth; everything else in the run folder can be made again from it. Every line has "event", "n" (its number from 0)
// and, last, "crc" (CRC-32 of the text before `,"crc"`). Line 0 is the settings: what the run was started with, and
// beside them its notes, which are not compared: a run resumed with others has a line "resumed" with those.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/io/file.h"
#include "tensor/io/json.h"

namespace kronbit::search {

inline constexpr int kJournalSchema = 1;
inline constexpr const char* kJournalName = "journal.jsonl";

/// A journal as found on the disk.
struct JournalContent {
  std::vector<Json> lines;  ///< with event, n and crc
  int64_t whole_bytes = 0;  ///< of those lines
  std::string torn;         ///< what follows: a last line that was not written whole; mostly empty
};

/// Reads a journal without locking or changing anything, also while a run is writing it. A journal that is not there,
/// or whose first line is not whole, has no lines.
/// Throws: InputError naming the line when anything but the very last line is damaged, when line 0 is not the settings
///         of this schema, or when the numbers do not follow each other.
JournalContent read_journal(const std::filesystem::path& folder);

/// The writer. Requires: the lock of the folder.
class Journal {
 public:
  /// Goes on with the journal of `folder` (content as just read), or starts one. A torn last line is copied to
  /// journal.torn and cut off.
  Journal(const std::filesystem::path& folder, const JournalContent& content);

  /// Adds n and crc, and returns when the line is on the disk. Throws: Error when it cannot be written.
  /// Requires: a string "event".
  void append(Json line);
  /// Everything that is in the file.
  const std::vector<Json>& lines() const { return lines_; }

 private:
  AppendLog log_;
  std::vector<Json> lines_;
};

/// The value of `key` in the latest notes; nullptr where no line has it.
const Json* find_note(const std::vector<Json>& lines, std::string_view key);
/// The line to append to a journal that is gone on with under these notes (an object); nothing where it has them.
std::optional<Json> resumed_line(const std::vector<Json>& lines, const Json& notes);

/// Throws: InputError listing every field that differs, old and new, unless the two are equal. Objects are compared
/// field by field, whatever their order.
void check_same_settings(const Json& old_settings, const Json& new_settings, std::string_view where);

}  // namespace kronbit::search
