// Journals of made-up searches: written, read, compared.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "fake.h"

namespace kronbit::search {

inline std::string text_of(const std::filesystem::path& folder) {
  return read_text(folder / kJournalName, kMaxJournalBytes);
}

inline void write_journal(const std::filesystem::path& folder, std::string_view text) {
  std::filesystem::create_directories(folder);
  std::ofstream(folder / kJournalName, std::ios::binary | std::ios::trunc) << text;
}

/// The lines without what may differ between equal searches.
inline std::vector<std::string> essence(const std::filesystem::path& folder) {
  std::vector<std::string> lines;
  for (Json line : read_journal(folder).lines) {
    for (const char* key : {"seconds", "worker", "crc"}) line.erase(key);
    lines.push_back(dump_line(line));
  }
  return lines;
}

/// Why a request fails, for FakeEvaluator::failure.
inline std::string flaky(const Request& request) {
  if (request.index == 2) return "crashed";                          // three times: dropped
  if (request.index % 5 == 0 && request.attempt < 3) return "died";  // the third attempt succeeds
  return "";
}

}  // namespace kronbit::search
