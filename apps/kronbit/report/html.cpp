#include "apps/kronbit/report/html.h"

#include <fmt/format.h>

#include "tensor/io/text.h"

namespace kronbit::app {
namespace {

struct Colour {
  std::string_view name, light, dark;
};
constexpr Colour kColours[] = {
    {"paper", "#fff", "#14171c"},   {"ink", "#1d2330", "#e6e9ee"},       {"muted", "#667085", "#98a2b3"},
    {"line", "#dde1e8", "#333a45"}, {"dots", "#b9c2d0", "#4d5768"},      {"card", "#f5f7fa", "#1d2229"},
    {"warn", "#fff4d6", "#3a2f10"}, {"warn-line", "#d99a00", "#d99a00"}, {"s0", "#0072b2", "#5ab4f0"},
    {"s1", "#d55e00", "#ff8c42"},   {"s2", "#009e73", "#3fcf9f"},        {"s3", "#b0508f", "#e08ac2"},
    {"s4", "#b07d00", "#e6b54a"},   {"s5", "#3d8fc4", "#8fd0f5"},
};

/// `rule(colour)` of every colour, joined.
template <typename Rule>
std::string of_colours(const Rule& rule) {
  std::string css;
  for (const Colour& colour : kColours) css += rule(colour);
  return css;
}

/// A page's variables: light ones, and dark ones where the reader prefers them.
std::string variables() {
  return fmt::format(
      "\n:root {{ color-scheme: light dark; {}}}\n@media (prefers-color-scheme: dark) {{ :root {{ {}}} }}\n",
      of_colours([](const Colour& c) { return fmt::format("--{}: {}; ", c.name, c.light); }),
      of_colours([](const Colour& c) { return fmt::format("--{}: {}; ", c.name, c.dark); }));
}

constexpr std::string_view kStyle = R"(
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 66rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.05rem; font-weight: 600; color: var(--muted); margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
.answer { font-size: 1.45rem; line-height: 1.35; margin: 0 0 1rem; }
.answer b { white-space: nowrap; }
.facts { display: flex; flex-wrap: wrap; gap: .6rem; margin: 1rem 0; }
.facts div { background: var(--card); border-radius: .5rem; padding: .5rem .9rem; min-width: 7.5rem; }
.facts b { display: block; font-size: 1.25rem; }
.facts span, figcaption, .note { color: var(--muted); font-size: .9rem; }
.warn { background: var(--warn); border-left: .25rem solid var(--warn-line); padding: .5rem .9rem; margin: .8rem 0; }
figure { margin: .8rem 0 1.4rem; break-inside: avoid; }
figure svg { display: block; width: 100%; height: auto; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(24rem, 1fr)); gap: 0 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .55rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { color: var(--muted); font-weight: 600; vertical-align: bottom; }
.text { text-align: left; }
td.text { white-space: normal; }
code { font-family: ui-monospace, monospace; white-space: nowrap; }
.strip { list-style: none; display: flex; flex-wrap: wrap; gap: .3rem; padding: 0; margin: .8rem 0; }
.strip li { flex: 0 0 4.6rem; background: var(--card); border-radius: .4rem; padding: .3rem; text-align: center;
  font-size: .7rem; line-height: 1.25; color: var(--muted); overflow-wrap: anywhere; break-inside: avoid;
  display: flex; flex-direction: column; }
.strip b { font-size: 1.3rem; color: var(--ink); }
.strip i { display: block; height: .3rem; background: var(--s0); border-radius: .15rem; margin: auto 0 .15rem; }
@media print { body { max-width: none; padding: 0; font-size: 12px; } h2 { break-after: avoid; } }
)";

}  // namespace

std::string escape(std::string_view text) {
  std::string result;
  for (const char c : printable(text)) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

std::string percent(double fraction) { return fmt::format("{:.2f} %", 100 * fraction); }

std::string Table::html() const {
  const auto row_of = [&](const std::vector<std::string>& cells, const char* tag) {
    std::string row = "<tr>";
    for (size_t i = 0; i < cells.size(); ++i)
      row += fmt::format("<{0}{1}>{2}</{0}>", tag, i < text_columns ? " class=\"text\"" : "", cells[i]);
    return row + "</tr>\n";
  };
  std::string body;
  for (const auto& row : rows) body += row_of(row, "td");
  return "<div class=\"scroll\"><table>\n<thead>" + row_of(head, "th") + "</thead>\n<tbody>\n" + body +
         "</tbody></table></div>\n";
}

std::string section(const std::string& title, const std::string& html) {
  return fmt::format("<section>\n<h2>{}</h2>\n{}</section>\n", title, html);
}

std::string figure(const std::string& svg, const std::string& caption) {
  if (svg.empty()) return "";
  return fmt::format("<figure>\n{}<figcaption>{}</figcaption>\n</figure>\n", svg, caption);
}

std::string standalone(const std::string& svg) {
  if (!svg.starts_with("<svg ")) return "";
  std::string text = svg;
  for (const Colour& colour : kColours) {
    const std::string variable = fmt::format("var(--{})", colour.name);
    for (size_t at; (at = text.find(variable)) != std::string::npos;) text.replace(at, variable.size(), colour.light);
  }
  const std::string dark = of_colours([](const Colour& c) {
    std::string rules;
    for (const char* what : {"fill", "stroke", "color"})
      rules += fmt::format("[{0}=\"{1}\"] {{ {0}: {2} }} ", what, c.light, c.dark);
    return rules + "\n";
  });
  const size_t inside = text.find('>') + 1;
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" "
      "xmlns:xlink=\"http://www.w3.org/1999/xlink\" {}\n<style>svg {{ background: {}; color-scheme: light dark }}\n"
      "@media (prefers-color-scheme: dark) {{ svg {{ background: {} }}\n{}}}</style>{}",
      text.substr(5, inside - 5), kColours[0].light, kColours[0].dark, dark, text.substr(inside));
}

std::string warning(const std::string& html) { return fmt::format("<p class=\"warn\">{}</p>\n", html); }

std::string page(const std::string& title, const std::string& body, const Json& data) {
  // "<" occurs in JSON only inside strings, where \u003c means the same and cannot end the element.
  std::string json;
  for (const char c : dump_line(data)) json += c == '<' ? "\\u003c" : std::string(1, c);
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n"
      "<style>{}{}</style>\n</head>\n<body>\n{}<script type=\"application/json\" id=\"data\">{}</script>\n"
      "</body>\n</html>\n",
      escape(title), variables(), kStyle, body, json);
}

}  // namespace kronbit::app
