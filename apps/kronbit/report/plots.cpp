// Pictures of what was found: sizes, bits, slices through the model. The search itself is in plots_search.cpp.
#include "apps/kronbit/report/plots.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "apps/kronbit/report/plot_parts.h"
#include "search/constraints.h"
#include "tensor/io/parse.h"

namespace kronbit::app {
namespace {

constexpr size_t kMostMarks = 7;

struct Window {
  double x_lo, x_hi, y_lo, y_hi;
};

/// The axis of a price.
struct Axis {
  Price price;
  double unit;
  std::string label;
  double operator()(const search::Cost& cost) const {
    return (price == Price::Size ? cost.bytes : cost.milliseconds) / unit;
  }
};
Axis axis_of(const SearchReport& report, Price price) {
  if (price == Price::Time) return {price, 1, "expected time of an image (ms)"};
  const ByteUnit unit = byte_unit(report.uniform.back().cost.bytes);
  return {price, unit.bytes, fmt::format("packed size of the convolutions ({})", unit.name)};
}

/// Accuracies (in percent) and prices that matter at the upper end: the best expected and what is up to 6 points below.
Window upper_end(const SearchReport& report, const Axis& axis) {
  double top = 0;
  for (const search::Ranked& r : report.ranked) top = std::max(top, r.accuracy);
  Window w{1e300, 0, 100 * top - 6, 100 * top + 1};
  for (const search::Ranked& r : report.ranked) {
    if (100 * r.accuracy < w.y_lo) continue;
    const double x = axis(report.run.space.candidates[r.candidate].cost);
    w.x_lo = std::min(w.x_lo, x);
    w.x_hi = std::max(w.x_hi, x);
  }
  const double margin = 0.03 * (w.x_hi - w.x_lo) + 1e-9;
  return {w.x_lo - margin, w.x_hi + margin, w.y_lo, w.y_hi};
}

/// The candidates as dots, at most one per cell of a fine grid: the picture is the same and the page stays small.
DataBlock candidate_dots(const SearchReport& report, const Axis& axis, const Window& window) {
  constexpr double kColumns = 150, kRows = 90;
  DataBlock dots("candidates");
  std::set<std::pair<int, int>> cells;
  for (const search::Ranked& r : report.ranked) {
    const double x = axis(report.run.space.candidates[r.candidate].cost), y = 100 * r.accuracy;
    if (x < window.x_lo || x > window.x_hi || y < window.y_lo || y > window.y_hi) continue;
    const std::pair cell{static_cast<int>(kColumns * (x - window.x_lo) / (window.x_hi - window.x_lo)),
                         static_cast<int>(kRows * (y - window.y_lo) / (window.y_hi - window.y_lo))};
    if (cells.insert(cell).second) dots.row({x, y});
  }
  return dots;
}

Window whole_range(const SearchReport& report, const Axis& axis) {
  double least = 1e300, most = 0, lo = 1, hi = 0;
  const auto see = [&](const search::Cost& cost, double accuracy) {
    least = std::min(least, axis(cost));
    most = std::max(most, axis(cost));
    lo = std::min(lo, accuracy);
    hi = std::max(hi, accuracy);
  };
  for (const search::Ranked& r : report.ranked) see(report.run.space.candidates[r.candidate].cost, r.accuracy);
  for (const Expected& e : report.uniform) see(e.cost, e.accuracy);
  for (const FinalRow& row : report.finals.rows) see(row.cost, row.mean_top1());
  for (const std::vector<double>& known : known_accuracies(report))
    for (double a : known) lo = std::min(lo, a), hi = std::max(hi, a);
  hi = std::max(hi, report.run.settings.fp32_validation);
  // Of a time the layers are a part only: from 0 on there would be little to see.
  const double from = axis.price == Price::Size ? 0 : least;
  const double margin = 0.03 * (most - from) + 1e-9;
  return {axis.price == Price::Size ? 0 : from - margin, most + margin, std::max(0.0, 100 * lo - 2),
          std::min(101.0, 100 * hi + 2)};
}

/// The cheapest first.
std::vector<search::Ranked> front_of(const SearchReport& report, const Axis& axis) {
  std::vector<double> prices, accuracies;
  for (const search::Ranked& r : report.ranked) {
    prices.push_back(axis(report.run.space.candidates[r.candidate].cost));
    accuracies.push_back(r.accuracy);
  }
  std::vector<search::Ranked> front;
  for (const size_t place : search::pareto_front(prices, accuracies)) front.push_back(report.ranked[place]);
  return front;
}

}  // namespace

std::vector<std::vector<double>> known_accuracies(const SearchReport& report) {
  std::vector<std::vector<double>> known;
  for (size_t c = 0; c < report.run.space.candidates.size(); ++c) known.push_back(report.run.state.explorer().known(c));
  return known;
}

std::vector<search::Ranked> marked_front(const SearchReport& report, Price price) {
  const Axis axis = axis_of(report, price);
  const std::vector<search::Ranked> front = front_of(report, axis);
  if (front.size() <= kMostMarks) return front;
  // Evenly along the drawn line.
  const auto place = [&](const search::Ranked& r) { return axis(report.run.space.candidates[r.candidate].cost); };
  const double width = place(front.back()) - place(front.front());
  const double height = std::max(1e-9, front.back().accuracy - front.front().accuracy);
  std::vector<double> along = {0};
  for (size_t i = 1; i < front.size(); ++i)
    along.push_back(along.back() + std::hypot((place(front[i]) - place(front[i - 1])) / width,
                                              (front[i].accuracy - front[i - 1].accuracy) / height));
  std::vector<search::Ranked> marks;
  for (size_t k = 0, i = 0; k < kMostMarks; ++k) {
    const double goal = along.back() * static_cast<double>(k) / (kMostMarks - 1);
    while (i + 1 < front.size() && along[i] < goal - 1e-12) ++i;
    if (marks.empty() || marks.back().candidate != front[i].candidate) marks.push_back(front[i]);
  }
  return marks;
}

bool needs_enlarging(const SearchReport& report) {
  if (report.ranked.empty()) return false;
  const auto [lo, hi] = std::minmax_element(report.ranked.begin(), report.ranked.end(),
                                            [](const auto& a, const auto& b) { return a.accuracy < b.accuracy; });
  return hi->accuracy - lo->accuracy > 0.15;
}

std::string plot_prices(Plotter& plotter, const SearchReport& report, Price price, bool enlarged) {
  if (!report.model || report.ranked.empty()) return "";
  const std::vector<search::Candidate>& candidates = report.run.space.candidates;
  const Axis axis = axis_of(report, price);
  const Window window = enlarged ? upper_end(report, axis) : whole_range(report, axis);
  const auto price_of = [&](size_t candidate) { return axis(candidates[candidate].cost); };

  Script s;
  s.line("set xlabel '{}'\nset ylabel 'accuracy (%)'", axis.label);
  s.line("set xrange [{}:{}]\nset yrange [{}:{}]", window.x_lo, window.x_hi, window.y_lo, window.y_hi);
  s.plot(candidate_dots(report, axis, window),
         fmt::format("with points pt 7 ps 0.22 lc rgb '{}' title 'expected'", ink::kDots));

  DataBlock floating("floating");
  for (double x : {window.x_lo, window.x_hi}) floating.row({x, 100 * report.run.settings.fp32_validation});
  s.plot(floating, fmt::format("with lines lw 1.2 dt (8,5) lc rgb '{}' title 'fp32 (validation)'", ink::kMuted));

  DataBlock uniform("uniform");
  for (const Expected& e : report.uniform) uniform.row({axis(e.cost), 100 * e.accuracy});
  s.plot(uniform, fmt::format("with linespoints pt 4 ps 0.7 lw 1.2 dt (3,3) lc rgb '{}' title 'uniform'", ink::kMuted));

  DataBlock front("front");
  for (const search::Ranked& r : front_of(report, axis)) front.row({price_of(r.candidate), 100 * r.accuracy});
  s.plot(front, fmt::format("with lines lw 1.8 lc rgb '{}' title 'Pareto front'", ink::kText));

  const std::vector<std::vector<double>> known = known_accuracies(report);
  for (int task = 0; task < report.tasks(); ++task) {
    DataBlock measured(fmt::format("task{}", task));
    for (size_t c = 0; c < known.size(); ++c)
      if (static_cast<int>(known[c].size()) == task + 1) measured.row({price_of(c), 100 * known[c].back()});
    s.plot(measured,
           fmt::format("with points {} ps 0.7 title 'measured, {}'", task_style(task), task_name(report, task)));
  }

  DataBlock chosen("chosen"), finals("finals");
  for (const FinalRow& row : report.finals.rows)
    (&row == report.champion() ? chosen : finals)
        .row({axis(row.cost), 100 * row.mean_top1(), 200 * row.doubt(report.finals.images)});
  s.plot(finals, fmt::format("with yerrorbars pt 12 ps 1.4 lw 1.6 lc rgb '{}' title 'final, test split'", ink::kText));
  s.plot(chosen,
         fmt::format("with yerrorbars pt 13 ps 1.8 lw 2 lc rgb '{}' title 'the chosen one, test split'", ink::kText));

  const std::vector<search::Ranked> marks = marked_front(report, price);
  for (size_t i = 0; i < marks.size(); ++i) {
    const double x = price_of(marks[i].candidate), y = 100 * marks[i].accuracy;
    if (x < window.x_lo || x > window.x_hi || y < window.y_lo || y > window.y_hi) continue;
    s.line("set label {} '{}' at {},{} center offset character -0.9,0.7 front textcolor rgb '{}'", i + 1,
           static_cast<char>('a' + i), x, y, ink::kText);
  }
  const std::string name = price == Price::Size ? "size" : "time";
  return plotter.draw(name + (enlarged ? "-upper" : ""), "accuracy against " + name, s.text(), 980, 520);
}

std::string plot_bits(Plotter& plotter, const SearchReport& report) {
  const Bits bits = report.chosen();
  if (bits.empty()) return "";
  const auto n = static_cast<double>(bits.size());
  const std::vector<double> w = report.run.space.configuration(bits).w;
  DataBlock bars("bars"), curve("curve");
  for (size_t i = 0; i < bits.size(); ++i) bars.row({static_cast<double>(i + 1), static_cast<double>(bits[i])});
  for (int i = 0; i <= 200; ++i) {
    const double x = 1 / n + (1 - 1 / n) * i / 200;
    curve.row({x * n, std::clamp(8 * report.run.space.curve.value(x, w) + 1, 1.0, 8.0)});
  }
  Script s;
  s.line(
      "set xlabel 'layer, in order of execution'\nset ylabel 'bits'\nset xrange [0.4:{}]\nset yrange [0:8.4]\nset "
      "ytics 1",
      n + 0.6);
  s.line(
      "set xtics 1,{}\nset boxwidth 0.86\nset style fill solid 0.55 noborder\nunset grid\nset grid ytics lc rgb '{}' "
      "lt 1 lw 0.6",
      n > 32 ? 4 : 1, ink::kGrid);
  s.plot(bars, fmt::format("with boxes lc rgb '{}' title 'bits'", ink::series(0)));
  s.plot(curve, fmt::format("with lines lw 2 lc rgb '{}' title 'curve'", ink::series(1)));
  return plotter.draw("bits", "bits per layer", s.text(), 980, 300);
}

std::string plot_slice(Plotter& plotter, const SearchReport& report, int task) {
  if (!report.model || !report.best) return "";
  const SearchSettings& settings = report.run.settings;
  const ByteUnit unit = byte_unit(report.uniform.back().cost.bytes);
  const search::LayerRules rules = rules_of(settings.rules, report.run.space.layers);
  std::vector<search::Candidate> points;
  for (int i = 0; i <= 120; ++i) {
    std::vector<double> w = report.best->w;
    w[0] = i / 120.0;
    const Bits bits = rules.apply(report.run.space.curve.bits(w, std::ssize(report.run.space.layers)));
    points.push_back(report.run.space.configuration(bits));
    points.back().w = w;
  }
  const gp::Posterior posterior = report.model->predict(points, task);
  DataBlock model("model"), size("size"), near("near"), far("far");
  for (size_t i = 0; i < points.size(); ++i) {
    const double mean = 100 * posterior.mean[i], sd = 100 * std::sqrt(std::max(0.0, posterior.variance[i]));
    model.row({points[i].w[0], mean, mean - 2 * sd, mean + 2 * sd});
    size.row({points[i].w[0], points[i].cost.bytes / unit.bytes});
  }
  constexpr double kNear = 0.15;
  const search::History& history = report.run.state.explorer().history();
  for (size_t c = 0; c < history.candidates.size(); ++c) {
    if (history.depth(c) <= task) continue;
    const std::vector<double>& w = history.candidates[c].w;
    double distance = 0;
    for (size_t d = 1; d < w.size(); ++d) distance = std::max(distance, std::abs(w[d] - report.best->w[d]));
    (distance <= kNear ? near : far).row({w[0], 100 * history.known[c][static_cast<size_t>(task)]});
  }
  Script s;
  s.line("set xlabel 'first weight of the curve'\nset ylabel 'accuracy (%)'\nset y2label 'size ({})'", unit.name);
  s.line("set xrange [0:1]\nset y2tics\nset ytics nomirror\nset border 11 lc rgb '{}'\nset y2range [0:*]", ink::kMuted);
  s.line("set arrow 1 from {0},graph 0 to {0},graph 1 nohead dt (2,4) lc rgb '{1}'", report.best->w[0], ink::kMuted);
  s.plot(model,
         fmt::format("using 1:3:4 with filledcurves fs transparent solid 0.22 noborder lc rgb '{}' title '+- 2 sd'",
                     ink::series(task)));
  s.plot_again("model", fmt::format("using 1:2 with lines lw 2 lc rgb '{}' title 'expected'", ink::series(task)));
  s.plot(size, fmt::format("axes x1y2 with steps lw 1.2 dt (3,3) lc rgb '{}' title 'size (right)'", ink::kMuted));
  s.plot(far, fmt::format("with points pt 6 ps 0.5 lc rgb '{}' title 'measured elsewhere'", ink::kMuted));
  s.plot(near, fmt::format("with points pt 7 ps 0.7 lc rgb '{}' title 'measured near'", ink::kText));
  return plotter.draw(fmt::format("slice{}", task), fmt::format("model of the task of {}", task_name(report, task)),
                      s.text(), 560, 360);
}

}  // namespace kronbit::app
