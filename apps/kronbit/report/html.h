// Pages that need nothing but themselves: escaping, tables, and the frame with the style.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tensor/io/json.h"

namespace kronbit::app {

/// `text` as it can stand in an element or a quoted attribute; control characters are made visible.
std::string escape(std::string_view text);

/// 0.9012 -> "90.12 %".
std::string percent(double fraction);

/// A table. Cells are HTML (escape() what is not ours); columns after the first `text_columns` are right-aligned.
struct Table {
  std::vector<std::string> head;
  std::vector<std::vector<std::string>> rows;
  size_t text_columns = 1;
  std::string html() const;
};

/// <h2> and what follows.
std::string section(const std::string& title, const std::string& html);
/// A drawing with its caption (HTML); nothing when there is no drawing.
std::string figure(const std::string& svg, const std::string& caption);
/// A drawing as a file of its own (SVG): light colours as plain attributes, which every program understands, dark ones by
/// CSS where the reader prefers them.
std::string standalone(const std::string& svg);
/// A box that stands out.
std::string warning(const std::string& html);

/// The whole page; `data` is embedded as JSON in <script type="application/json" id="data">.
std::string page(const std::string& title, const std::string& body, const Json& data);

}  // namespace kronbit::app
