// The end of a report: settings, what made the run, the command that makes it again.
#include "apps/kronbit/made_by.h"
#include "apps/kronbit/report/sections.h"

namespace kronbit::app {

std::string settings_section(const std::vector<Json>& lines, const std::string& command) {
  Table table{.head = {"setting", "value"}, .rows = {}, .text_columns = 2};
  for (const auto& [key, value] : get_object(lines[0], "settings", "journal").items()) {
    if (key == "errors" || key == "latency") continue;  // tables of numbers, shown where they matter
    const std::string text = value.is_string() ? value.get<std::string>() : dump_line(value);
    if (!text.empty() && text != "[]" && text != "null") table.rows.push_back({escape(key), escape(text)});
  }
  for (const Json& by : makers_of(lines)) table.rows.push_back({"made by", escape(maker_text(by))});
  std::string html = table.html();
  if (!command.empty())
    html += "<p>To make this run again:</p>\n<div class=\"scroll\"><code>" + escape(command) + "</code></div>\n";
  return section("Settings", html);
}

}  // namespace kronbit::app
