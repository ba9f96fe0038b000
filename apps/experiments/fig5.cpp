// Figure 5 of the paper, and Figure 1, which is one view of it: what the model expects of every bit list of a linear
// Bezier curve, against its size, for three networks on CIFAR-10 and on ImageNet32.
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "apps/experiments/common/runs.h"
#include "apps/kronbit/progress.h"
#include "apps/kronbit/report/plot_parts.h"
#include "search/ranking.h"
#include "tensor/base/error.h"

namespace kronbit::experiments {
namespace {

constexpr int kMostUniformBits = 6;  ///< of the line, as in the paper
constexpr size_t kMostMarks = 4;     ///< labelled points of a panel
constexpr double kLeastGain = 0.0005;

enum class Trend { Decreasing, Increasing, Uniform };
const char* name_of(Trend trend) {
  return trend == Trend::Decreasing ? "decreasing" : trend == Trend::Increasing ? "increasing" : "uniform";
}

/// A bit list as the model sees it. Units: bytes by the paper's rule, fractions.
struct Point {
  Bits bits;
  double bytes = 0, accuracy = 0, sd = 0;
  Trend trend = Trend::Uniform;
  std::optional<double> gain = {};  ///< over the uniform line at equal bytes; nothing beyond the line's ends
  std::string letter = {};
};

struct Panel {
  Subject subject;
  std::string title;
  size_t row = 0, column = 0;
  std::optional<Search> search = {};
  std::vector<Point> points = {}, uniform = {}, marks = {};
  double fp32 = 0;
};

/// How the candidates of one trend lie about the uniform line.
struct Side {
  int above = 0, below = 0;
  double gain = 0;  ///< mean
};

std::string data_title(const std::string& data) {
  if (data.starts_with("cifar10:")) return "CIFAR-10";
  if (data.starts_with("imagenet32:")) return "ImageNet32 subset";
  return data.substr(0, data.find(':'));
}

/// The curves are linear: their ends say all.
Trend trend_of(const Bits& bits) {
  if (bits.front() == bits.back()) return Trend::Uniform;
  return bits.front() > bits.back() ? Trend::Decreasing : Trend::Increasing;
}

/// Height of the line through `uniform` (by rising bytes) at `bytes`.
std::optional<double> line_at(const std::vector<Point>& uniform, double bytes) {
  for (size_t i = 1; i < uniform.size(); ++i) {
    const Point &a = uniform[i - 1], &b = uniform[i];
    if (bytes < a.bytes || bytes > b.bytes) continue;
    return a.accuracy + (b.accuracy - a.accuracy) * (bytes - a.bytes) / (b.bytes - a.bytes);
  }
  return std::nullopt;
}

/// The largest gains of the Pareto front, some way apart, by rising size.
std::vector<Point> choose_marks(const Panel& panel) {
  std::vector<double> bytes, accuracy;
  for (const Point& p : panel.points) {
    bytes.push_back(p.bytes);
    accuracy.push_back(p.accuracy);
  }
  std::vector<Point> front, marks;
  for (size_t i : search::pareto_front(bytes, accuracy)) {
    const Point& p = panel.points[i];
    if (p.trend != Trend::Uniform && p.gain && *p.gain >= kLeastGain) front.push_back(p);
  }
  std::stable_sort(front.begin(), front.end(), [](const Point& a, const Point& b) { return *a.gain > *b.gain; });
  const double apart = 0.1 * (panel.uniform.back().bytes - panel.uniform.front().bytes);
  for (const Point& p : front) {
    const auto near = [&](const Point& mark) { return std::abs(mark.bytes - p.bytes) < apart; };
    if (marks.size() < kMostMarks && std::none_of(marks.begin(), marks.end(), near)) marks.push_back(p);
  }
  std::sort(marks.begin(), marks.end(), [](const Point& a, const Point& b) { return a.bytes < b.bytes; });
  return marks;
}

void fill(Panel& panel) {
  const app::RunView& run = panel.search->run();
  const std::vector<nn::ConvInfo>& layers = run.space.layers;
  panel.fp32 = run.settings.fp32_validation;
  const auto point = [&](const Bits& bits, double accuracy, double sd) {
    return Point{bits, static_cast<double>(sizes_of(layers, bits).paper), accuracy, sd, trend_of(bits)};
  };
  for (int b = 1; b <= kMostUniformBits; ++b) {
    const app::Expected e = panel.search->expect(Bits(layers.size(), b));
    panel.uniform.push_back(point(e.bits, e.accuracy, e.sd));
  }
  search::Goal goal = run.space.goal;
  goal.by = search::By::Accuracy;
  for (const search::Ranked& r :
       search::rank(panel.search->model(), run.state.explorer(), run.space.candidates, goal, {})) {
    Point p = point(run.space.candidates[r.candidate].bits, r.accuracy, r.sd);
    if (const std::optional<double> line = line_at(panel.uniform, p.bytes)) p.gain = p.accuracy - *line;
    panel.points.push_back(std::move(p));
  }
  panel.marks = choose_marks(panel);
}

Side side_of(const Panel& panel, Trend trend) {
  Side side;
  for (const Point& p : panel.points) {
    if (p.trend != trend || !p.gain) continue;
    ++(*p.gain > 0 ? side.above : side.below);
    side.gain += *p.gain;
  }
  side.gain /= std::max(1, side.above + side.below);
  return side;
}

std::vector<Panel> run_panels(Experiment& experiment, std::vector<std::string>& missing) {
  const Settings& settings = experiment.settings();
  std::vector<std::string> sets = {settings.data};
  if (settings.imagenet32 != settings.data) sets.push_back(settings.imagenet32);
  std::vector<std::string> nets;
  for (const char* net : {"vgg11", "vgg16", "resnet18"})
    if (settings.wants(net)) nets.emplace_back(net);
  if (nets.empty()) input_error("--net", "wanted vgg11, vgg16 or resnet18, got none of them");
  std::vector<Panel> panels;
  for (size_t row = 0; row < sets.size(); ++row) {
    for (size_t column = 0; column < nets.size(); ++column) {
      Panel panel{{nets[column], sets[row]}, fmt::format("{}, {}", nets[column], data_title(sets[row])), row, column};
      panel.search = search(experiment, panel.subject, "bezier:1");
      if (!panel.search) {
        missing.push_back(panel.title);
        continue;
      }
      fill(panel);
      panels.push_back(std::move(panel));
    }
  }
  int letter = 0;
  for (Panel& panel : panels)
    for (Point& mark : panel.marks) mark.letter = std::string(1, static_cast<char>('A' + letter++));
  return panels;
}

struct Window {
  double x_hi = 0, y_lo = 1, y_hi = 0;  ///< megabytes, fractions; sizes begin at 0
};

Window window_of(const Panel& panel) {
  Window w{.y_hi = panel.fp32};
  for (const Point& p : panel.points) {
    w.x_hi = std::max(w.x_hi, 1.03 * p.bytes / 1e6);
    w.y_lo = std::min(w.y_lo, p.accuracy);
    w.y_hi = std::max(w.y_hi, p.accuracy);
  }
  for (const Point& p : panel.uniform) {
    w.x_hi = std::max(w.x_hi, 1.03 * p.bytes / 1e6);
    w.y_lo = std::min(w.y_lo, p.accuracy);
  }
  const double margin = 0.05 * (w.y_hi - w.y_lo) + 0.002;
  return {w.x_hi, std::max(0.0, w.y_lo - margin), w.y_hi + 1.6 * margin};
}

/// At most one point of each trend per cell of a grid that is finer than the picture's dots.
std::vector<Point> thinned(const Panel& panel) {
  constexpr double kColumns = 160, kRows = 110;
  const Window w = window_of(panel);
  std::set<std::tuple<Trend, int, int>> cells;
  std::vector<Point> points;
  for (const Point& p : panel.points) {
    const int column = static_cast<int>(kColumns * p.bytes / 1e6 / w.x_hi);
    const int row = static_cast<int>(kRows * (p.accuracy - w.y_lo) / (w.y_hi - w.y_lo));
    if (cells.emplace(p.trend, column, row).second) points.push_back(p);
  }
  return points;
}

struct Styles {
  std::string decreasing, increasing, uniform, fp32, mark;
};
Styles styles(double dot) {
  using namespace app;
  return {.decreasing = fmt::format("with points pt 7 ps {} lc rgb '{}'", dot, ink::series(0)),
          .increasing = fmt::format("with points pt 7 ps {} lc rgb '{}'", dot, ink::series(1)),
          .uniform = fmt::format("with linespoints pt 6 ps 0.6 lw 1.8 lc rgb '{}'", ink::kText),
          .fp32 = fmt::format("with lines lw 1.3 dt (8,5) lc rgb '{}'", ink::kMuted),
          .mark = fmt::format("with points pt 13 ps 1 lc rgb '{}'", ink::series(3))};
}

/// Ranges, the labels of the marks, and everything that is drawn but the candidates.
void frame_panel(app::Script& s, const Window& w) {
  s.line("set xlabel 'megabytes of the convolutions (paper''s rule)'\nset ylabel 'expected top-1 (%)'");
  s.line("set xrange [0:{}]\nset yrange [{}:{}]", w.x_hi, 100 * w.y_lo, 100 * w.y_hi);
}
void plot_lines(app::Script& s, const Panel& panel, const std::string& prefix, const Window& w, const Styles& style,
                bool titles) {
  const auto title = [&](const char* text) { return titles ? " title " + app::in_quotes(text) : " notitle"; };
  app::DataBlock fp32(prefix + "fp32"), uniform(prefix + "uniform");
  for (double x : {0.0, w.x_hi}) fp32.row({x, 100 * panel.fp32});
  for (const Point& p : panel.uniform) uniform.row({p.bytes / 1e6, 100 * p.accuracy});
  s.plot(fp32, style.fp32 + title("floating point (validation)"));
  s.plot(uniform, style.uniform + title("uniform 1 .. 6 bits"));
  int label = 0;
  for (const Point& mark : panel.marks)
    s.line("set label {} '{}' at {},{} right offset character -0.5,0.6 front textcolor rgb '{}'", ++label, mark.letter,
           mark.bytes / 1e6, 100 * mark.accuracy, app::ink::kText);
}

std::string panel_script(const Panel& panel, size_t index) {
  const Window w = window_of(panel);
  const Styles style = styles(0.2);
  const std::string prefix = fmt::format("p{}", index);
  app::Script s;
  s.line("unset label\nset title {} textcolor rgb '{}'", app::in_quotes(panel.title), app::ink::kText);
  frame_panel(s, w);
  app::DataBlock increasing(prefix + "increasing"), decreasing(prefix + "decreasing"), marks(prefix + "marks");
  for (const Point& p : thinned(panel)) {
    if (p.trend != Trend::Uniform)
      (p.trend == Trend::Increasing ? increasing : decreasing).row({p.bytes / 1e6, 100 * p.accuracy});
  }
  for (const Point& p : panel.marks) marks.row({p.bytes / 1e6, 100 * p.accuracy});
  s.plot(increasing, style.increasing + " notitle");
  s.plot(decreasing, style.decreasing + " notitle");
  plot_lines(s, panel, prefix, w, style, false);
  s.plot(marks, style.mark + " notitle");
  return s.text();
}

Results::Plot all_panels(const std::vector<Panel>& panels) {
  std::set<size_t> rows, columns;
  for (const Panel& panel : panels) {
    rows.insert(panel.row);
    columns.insert(panel.column);
  }
  constexpr int kLegend = 36, kPanelWidth = 430, kPanelHeight = 340;
  const int across = std::max(2, static_cast<int>(columns.size()));
  const int width = kPanelWidth * across, height = kLegend + kPanelHeight * static_cast<int>(rows.size());
  const double panel_height = static_cast<double>(kPanelHeight) / height, panel_width = 1.0 / across;
  std::string script = "set multiplot\nunset key\nset lmargin 9\nset rmargin 2\nset tmargin 2.2\nset bmargin 3.6\n";
  for (size_t i = 0; i < panels.size(); ++i) {
    const auto row = std::distance(rows.begin(), rows.find(panels[i].row));
    const auto column = std::distance(columns.begin(), columns.find(panels[i].column));
    script += fmt::format("set size {},{}\nset origin {},{}\n", panel_width, panel_height,
                          static_cast<double>(column) * panel_width,
                          static_cast<double>(std::ssize(rows) - 1 - row) * panel_height);
    script += panel_script(panels[i], i);
  }
  const Styles style = styles(0.6);
  script += fmt::format(
      "unset label\nunset title\nunset xlabel\nunset ylabel\nunset tics\nunset border\nunset grid\nset margins "
      "0,0,0,0\n"
      "set size 1,{}\nset origin 0,{}\nset xrange [0:1]\nset yrange [0:1]\n"
      "set key at graph 0.5,0.5 center center horizontal maxrows 1 samplen 2 width 2 textcolor rgb '{}'\n"
      "plot NaN {} title 'decreasing bits', NaN {} title 'increasing bits', NaN {} title 'uniform 1 .. 6 bits', "
      "NaN {} title 'floating point (validation)', NaN {} title 'labelled'\nunset multiplot\n",
      static_cast<double>(kLegend) / height, 1 - static_cast<double>(kLegend) / height, app::ink::kText,
      style.decreasing, style.increasing, style.uniform, style.fp32, style.mark);
  return {"", "expected accuracy against size", script, width, height};
}

/// Figure 1: how the bits are distributed over the depth, in memory and accuracy.
Results::Plot one_panel(const Panel& panel) {
  const Window w = window_of(panel);
  const Styles style = styles(0.35);
  app::Script s;
  s.line("set title {} textcolor rgb '{}'",
         app::in_quotes(panel.title + "; colour: bits of the last layer minus bits of the first"), app::ink::kText);
  frame_panel(s, w);
  s.line(
      "set key at screen 0.5,0.02 center bottom vertical maxrows 3 samplen 2 width 2\nset palette defined (-7 "
      "'#0072b2', 0 '#b9c2d0', 7 '#d55e00')\n"
      "set cbrange [-7:7]\nset cbtics 7 textcolor rgb '{}'\nset colorbox user size 0.02,0.5 origin 0.92,0.34",
      app::ink::kText);
  s.line("set rmargin 10\nset bmargin 8");
  app::DataBlock dots("dots");
  for (const Point& p : thinned(panel))
    dots.row({p.bytes / 1e6, 100 * p.accuracy, static_cast<double>(p.bits.back() - p.bits.front())});
  s.plot(dots, "using 1:2:3 with points pt 7 ps 0.35 lc palette notitle");
  plot_lines(s, panel, "one", w, style, true);
  for (const Point& mark : panel.marks) {
    app::DataBlock one("mark" + mark.letter);
    one.row({mark.bytes / 1e6, 100 * mark.accuracy});
    s.plot(one, fmt::format("{} title '{}: {}'", style.mark, mark.letter, format_bits(mark.bits)));
  }
  return {"fig1", fmt::format("{}: distribution of bits, memory and accuracy", panel.title), s.text(), 940, 560};
}

Json json_of(const Point& p, bool with_bits) {
  Json json = {{"bytes", p.bytes},
               {"accuracy", p.accuracy},
               {"sd", p.sd},
               {"trend", name_of(p.trend)},
               {"gain", p.gain ? Json(*p.gain) : Json(nullptr)}};
  if (!with_bits) return json;
  json["bits"] = p.bits;
  json["text"] = format_bits(p.bits);
  if (!p.letter.empty()) json["letter"] = p.letter;
  return json;
}

Json json_of(const Panel& panel) {
  Json candidates = Json::array(), uniform = Json::array(), marks = Json::array(), trends = Json::object();
  for (const Point& p : thinned(panel)) candidates.push_back(json_of(p, false));
  for (const Point& p : panel.uniform) uniform.push_back(json_of(p, true));
  for (const Point& p : panel.marks) marks.push_back(json_of(p, true));
  for (Trend trend : {Trend::Decreasing, Trend::Increasing}) {
    const Side side = side_of(panel, trend);
    trends[name_of(trend)] = {{"above", side.above}, {"below", side.below}, {"mean_gain", side.gain}};
  }
  return {{"net", panel.subject.net},
          {"data", data_title(panel.subject.data)},
          {"search", panel.search->to_json()},
          {"fp32_validation", panel.fp32},
          {"uniform", uniform},
          {"labelled", marks},
          {"trends", trends},
          {"candidates_thinned", candidates}};
}

std::string share(int part, int other) {
  if (part + other == 0) return "-";
  return fmt::format("{:.0f} % of {}", 100.0 * part / (part + other), part + other);
}

std::string markdown(const Experiment& experiment, const std::vector<Panel>& panels,
                     const std::vector<std::string>& missing) {
  std::string text = fmt::format("# Figure 5: expected accuracy against size\n\nPreset {}, {}. ",
                                 experiment.settings().preset, machine_line());
  text +=
      "Every dot is a bit list of a linear Bézier curve and the top-1 on validation images that the model expects of "
      "it after the last task of the search; nothing here is measured on the test split. MB: the paper's rule, P b / 8 "
      "+ P / 16. gain: points above the line through the uniform networks of 1 to 6 bits, at equal bytes. sd: the "
      "model's standard deviation.\n\n";
  if (!missing.empty())
    text += fmt::format("Not there, because the search has not run: {}.\n\n", fmt::join(missing, "; "));
  if (panels.empty()) return text;

  std::vector<std::vector<std::string>> rows = {{"", "panel", "bits", "estimate", "gain", "MB"}};
  for (const Panel& panel : panels) {
    for (const Point& p : panel.marks)
      rows.push_back({p.letter, panel.title, "`" + format_bits(p.bits) + "`", percent_text(p.accuracy, p.sd),
                      fmt::format("{:+.2f}", 100 * *p.gain), fmt::format("{:.2f}", p.bytes / 1e6)});
  }
  text += "## Labelled points\n\nOn the expected Pareto front, where they gain most over uniform bits.\n\n";
  text += rows.size() > 1 ? markdown_table(rows) + "\n" : "No candidate is expected to beat the uniform line.\n\n";
  for (const Panel& panel : panels)
    if (panel.marks.empty())
      text += fmt::format("{}: no point of the front is above the uniform line.\n\n", panel.title);

  text +=
      "## Do the points above the line decrease in bits?\n\nThe paper: points above the line are in general linearly "
      "decreasing in bits, points below it increasing. Counted over all candidates whose size is within the "
      "line's.\n\n";
  rows = {{"panel", "above the line: decreasing", "below the line: increasing", "decreasing curves that are above",
           "increasing curves that are above", "mean gain, decreasing", "mean gain, increasing"}};
  for (const Panel& panel : panels) {
    const Side down = side_of(panel, Trend::Decreasing), up = side_of(panel, Trend::Increasing);
    rows.push_back({panel.title, share(down.above, up.above), share(up.below, down.below),
                    share(down.above, down.below), share(up.above, up.below), fmt::format("{:+.2f}", 100 * down.gain),
                    fmt::format("{:+.2f}", 100 * up.gain)});
  }
  text += markdown_table(rows) + "\n## Uniform networks\n\n";
  rows = {{"panel", "floating point (validation)"}};
  for (int b = 1; b <= kMostUniformBits; ++b) rows[0].push_back(fmt::format("{} bits", b));
  for (const Panel& panel : panels) {
    rows.push_back({panel.title, percent_text(panel.fp32)});
    for (const Point& p : panel.uniform)
      rows.back().push_back(fmt::format("{} at {:.2f} MB", percent_text(p.accuracy, p.sd), p.bytes / 1e6));
  }
  text += markdown_table(rows) + "\n";
  for (const Panel& panel : panels) {
    const Json search = panel.search->to_json();
    text += fmt::format("    {}    # {}\n", search["command"].get<std::string>(),
                        app::duration_text(search["seconds"].get<double>()));
  }
  return text;
}

Results collect(const Experiment& experiment, const std::vector<Panel>& panels,
                const std::vector<std::string>& missing) {
  Results results;
  results.csv = {{"net", "data", "kind", "letter", "bits", "bytes_paper", "estimate", "sd", "gain"}};
  Json list = Json::array();
  for (const Panel& panel : panels) {
    list.push_back(json_of(panel));
    for (const auto* points : {&panel.uniform, &panel.marks})
      for (const Point& p : *points)
        results.csv.push_back({panel.subject.net, data_title(panel.subject.data),
                               points == &panel.uniform ? "uniform" : "labelled", p.letter, format_bits(p.bits),
                               fmt::format("{}", p.bytes), fmt::format("{}", p.accuracy), fmt::format("{}", p.sd),
                               p.gain ? fmt::format("{}", *p.gain) : ""});
  }
  results.json = {{"experiment", experiment.name()},
                  {"preset", experiment.settings().preset},
                  {"machine", machine_line()},
                  {"missing", missing},
                  {"panels", list}};
  results.markdown = markdown(experiment, panels, missing);
  if (!panels.empty()) results.plots.push_back(all_panels(panels));
  for (const Panel& panel : panels)
    if (panel.subject.net == "vgg16" && panel.row == 0) results.plots.push_back(one_panel(panel));
  return results;
}

}  // namespace
}  // namespace kronbit::experiments

int main(int argc, char** argv) {
  using namespace kronbit::experiments;
  return run_experiment(argc, argv, "fig5", "Figures 5 and 1 of the paper: expected accuracy against size",
                        [](Experiment& experiment) {
                          std::vector<std::string> missing;
                          const std::vector<Panel> panels = run_panels(experiment, missing);
                          return collect(experiment, panels, missing);
                        });
}
