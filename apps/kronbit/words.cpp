#include "apps/kronbit/words.h"

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

}  // namespace kronbit::app
