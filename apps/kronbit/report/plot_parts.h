// Pieces that the pictures of a report share: units, styles, and a script that grows plot by plot.
#pragma once

#include <fmt/format.h>

#include <string>
#include <vector>

#include "apps/kronbit/report/data.h"
#include "apps/kronbit/report/gnuplot.h"

namespace kronbit::app {

/// Commands, data blocks and one plot command in the right order. Blocks without rows are left out.
class Script {
 public:
  template <typename... Values>
  void line(fmt::format_string<Values...> format, Values&&... values) {
    commands_ += fmt::format(format, std::forward<Values>(values)...) + "\n";
  }
  void plot(const DataBlock& data, const std::string& how) {
    if (data.empty()) return;
    blocks_ += data.text();
    plot_again(data.name(), how);
  }
  /// Another view of a block plotted before.
  void plot_again(const std::string& block, const std::string& how) {
    plots_ += fmt::format("{}${} {}", plots_.empty() ? "plot " : ", ", block, how);
  }
  bool empty() const { return plots_.empty(); }
  std::string text() const { return commands_ + blocks_ + plots_ + "\n"; }

 private:
  std::string commands_, blocks_, plots_;
};

struct ByteUnit {
  double bytes;
  const char* name;
};
inline ByteUnit byte_unit(double largest) { return largest < 2e6 ? ByteUnit{1e3, "kB"} : ByteUnit{1e6, "MB"}; }

/// Mark and colour of a task.
inline std::string task_style(int task) {
  constexpr int kMarks[] = {7, 5, 9, 11, 13, 15};
  return fmt::format("pt {} lc rgb '{}'", kMarks[task % 6], ink::series(task));
}

/// Accuracies known of every candidate.
std::vector<std::vector<double>> known_accuracies(const SearchReport& report);

}  // namespace kronbit::app
