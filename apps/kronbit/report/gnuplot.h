// Plots by gnuplot, drawn as SVG that can be put into a page: transparent, with the page's colours.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kronbit::app {

/// Colours of a script: `lc rgb '#000001'` becomes the page's var(--ink), and so on; they follow light and dark mode.
namespace ink {
inline constexpr const char* kText = "#000001";   ///< --ink
inline constexpr const char* kMuted = "#000002";  ///< --muted
inline constexpr const char* kGrid = "#000003";   ///< --line
inline constexpr const char* kDots = "#000004";   ///< --dots
inline constexpr int kSeries = 6;
std::string series(int index);  ///< --s0 .. --s5, in turn
}  // namespace ink

/// `text` as a string of a script that nothing can leave: in single quotes, control characters made visible. The only
/// way a text that is not ours enters one.
std::string in_quotes(std::string_view text);

/// A block of numbers for a script; the only way they enter one.
class DataBlock {
 public:
  explicit DataBlock(std::string name) : name_(std::move(name)) {}
  void row(const std::vector<double>& values);
  bool empty() const { return rows_.empty(); }
  const std::string& name() const { return name_; }
  std::string text() const;  ///< "$name << EOD ... EOD"

 private:
  std::string name_, rows_;
};

/// Runs gnuplot as a process of its own, without a shell and without the user's start-up file.
class Plotter {
 public:
  /// The picture as an <svg> element whose ids begin with `id`, or "" when gnuplot is missing or failed.
  /// label: what a screen reader says; script: everything but the terminal.
  std::string draw(const std::string& id, const std::string& label, const std::string& script, int width, int height);
  /// Why the last drawing failed; "" when all went well.
  const std::string& problem() const { return problem_; }

 private:
  std::string problem_;
  bool missing_ = false;
};

}  // namespace kronbit::app
