#include "apps/kronbit/workers/words.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "tensor/base/error.h"
#include "tensor/io/text.h"

namespace kronbit::app {

std::vector<std::string> split_words(std::string_view text, std::string_view where) {
  std::vector<std::string> words;
  bool inside = false;  // of a word, which may be empty: ''
  char quote_mark = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool blank = c == ' ' || c == '\t' || c == '\n';
    if (quote_mark == 0 && blank) {
      inside = false;
      continue;
    }
    if (!inside) words.emplace_back();
    inside = true;
    if (quote_mark == 0 && (c == '\'' || c == '"')) {
      quote_mark = c;
    } else if (c == quote_mark) {
      quote_mark = 0;
    } else if (c == '\\' && quote_mark != '\'') {
      if (i + 1 == text.size())
        input_error(where, "wanted a character after the backslash at the end of {}", quote(text));
      const char next = text[++i];
      if (quote_mark == '"' && next != '"' && next != '\\') words.back() += c;
      words.back() += next;
    } else {
      words.back() += c;
    }
  }
  if (quote_mark != 0) input_error(where, "wanted a closing {}, got {}", quote_mark, quote(text));
  return words;
}

std::string shell_word(const std::string& word) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=.,:/@%";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

bool is_program(const std::string& name) {
  const auto runs = [](const std::filesystem::path& path) {
    std::error_code ignored;
    return std::filesystem::is_regular_file(path, ignored) && access(path.c_str(), X_OK) == 0;
  };
  if (name.find('/') != std::string::npos) return runs(name);
  const char* const path = std::getenv("PATH");
  std::string_view folders = path ? path : "/bin:/usr/bin";
  for (;;) {
    const size_t end = folders.find(':');
    const std::filesystem::path folder = folders.substr(0, end);
    if (!name.empty() && runs((folder.empty() ? "." : folder) / name)) return true;
    if (end == std::string_view::npos) return false;
    folders.remove_prefix(end + 1);
  }
}

}  // namespace kronbit::app
