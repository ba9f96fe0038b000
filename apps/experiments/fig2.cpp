// Fig. 2 of the paper: modified Chebyshev functions and the bits they draw, its three examples among them. The paper
// prints the bits only; weights that draw them are found here, as few as can.
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlopt.hpp>

#include "apps/experiments/common/experiment.h"
#include "apps/experiments/common/panels.h"
#include "apps/kronbit/report/plot_parts.h"
#include "search/curve.h"

namespace kronbit::experiments {
namespace {

using search::Curve;

struct Example {
  std::string label, family, note;
  Bits bits;           ///< as the paper prints them
  bool drawn = false;  ///< in the picture
};

std::vector<Example> examples() {
  const Bits green = {1, 1, 1, 2, 3, 4, 4, 4, 4, 4, 4, 3, 3, 2, 2, 2, 2, 2, 2};
  Bits longer = green;
  longer.push_back(2);
  return {{"1", "chebyshev", "blue in the paper, VGG11", {8, 7, 6, 6, 6, 6, 5, 3}, true},
          {"2", "chebyshev", "orange in the paper, VGG11", {8, 3, 2, 4, 6, 8, 7, 2}, true},
          {"3", "chebyshev", "green in the paper: a ResNet of 20 layers, 19 bits are printed", green, true},
          {"3, 20 layers", "chebyshev", "with a last layer of 2 bits, which is not printed", longer, false},
          {"linear Bézier", "bezier", "for comparison: Table 1, VGG16, first row", parse_bits("6 555 44 333 22 11", 13),
           true}};
}

/// The limits of rounding as linear inequalities on the weights and a margin m that all of them keep:
///   8 p(x_i; w) - (b_i - 1.5) >= m  unless b_i = 1,   (b_i - 0.5) - 8 p(x_i; w) >= m  unless b_i = 8
struct Limits {
  Curve curve;
  std::vector<Curve::Basis> layers;
  Bits bits;

  size_t count() const { return 2 * bits.size(); }
  /// Values <= 0 where an inequality holds at x = (w, m), one below zero in place of those that are absent; slopes are
  /// those by x, row by row.
  void evaluate(const double* x, double* values, double* slopes) const {
    const auto d = static_cast<size_t>(curve.weights());
    for (size_t i = 0; i < bits.size(); ++i) {
      double p = layers[i].constant;
      for (size_t j = 0; j < d; ++j) p += layers[i].functions[j] * x[j];
      for (size_t side = 0; side < 2; ++side) {
        const size_t row = 2 * i + side;
        const bool absent = bits[i] == (side == 0 ? kMinBits : kMaxBits);
        const double sign = side == 0 ? -8.0 : 8.0;
        const double limit = side == 0 ? bits[i] - 1.5 : 0.5 - bits[i];
        values[row] = absent ? -1.0 : sign * p + limit + x[d];
        if (slopes == nullptr) continue;
        for (size_t j = 0; j < d; ++j) slopes[row * (d + 1) + j] = absent ? 0.0 : sign * layers[i].functions[j];
        slopes[row * (d + 1) + d] = absent ? 0.0 : 1.0;
      }
    }
  }
};

struct Weights {
  std::vector<double> w;
  double margin = 0;  ///< the largest there is, in bits; below zero no weights draw the list
};

/// A linear program: the largest margin over w in [0,1]^d. It has one optimum, whatever the start.
Weights widest(const Curve& curve, const Bits& bits) {
  Limits limits{curve, curve.layer_bases(std::ssize(bits)), bits};
  const auto d = static_cast<unsigned>(curve.weights());
  nlopt::opt solver(nlopt::LD_SLSQP, d + 1);
  std::vector<double> low(d + 1, 0.0), high(d + 1, 1.0), x = curve.fit(bits);
  low[d] = -8.0 * d;
  high[d] = 0.5;  // in the middle of an interval of one bit
  x.push_back(-8.0);
  solver.set_lower_bounds(low);
  solver.set_upper_bounds(high);
  solver.set_max_objective(
      [](unsigned n, const double* at, double* slope, void*) {
        if (slope != nullptr) {
          std::fill(slope, slope + n, 0.0);
          slope[n - 1] = 1.0;
        }
        return at[n - 1];
      },
      nullptr);
  solver.add_inequality_mconstraint([](unsigned, double* values, unsigned, const double* at, double* slopes,
                                       void* data) { static_cast<Limits*>(data)->evaluate(at, values, slopes); },
                                    &limits, std::vector<double>(limits.count(), 1e-9));
  solver.set_xtol_rel(1e-9);
  solver.set_maxeval(5000);
  double margin = 0;
  try {
    solver.optimize(x, margin);
  } catch (const nlopt::roundoff_limited&) {  // as near as doubles come
  }
  return {{x.begin(), x.end() - 1}, x.back()};
}

/// An example with weights that draw it, or the reason why there are none.
struct Drawn {
  Example example;
  std::vector<double> margins;  ///< the largest with 1, 2, .. weights; the last is the first above zero
  Curve curve = Curve::line();
  std::vector<double> w;
  Bits bits;  ///< what they draw
  bool equal() const { return bits == example.bits; }
};

/// With as few decimals as still draw the list.
std::vector<double> rounded(const Curve& curve, const Bits& bits, const std::vector<double>& w) {
  for (double unit = 100; unit <= 1e6; unit *= 10) {
    std::vector<double> r = w;
    for (double& v : r) v = std::clamp(std::round(v * unit) / unit, 0.0, 1.0);
    if (curve.bits(r, std::ssize(bits)) == bits) return r;
  }
  return w;
}

Drawn draw(const Example& example) {
  Drawn drawn;
  drawn.example = example;
  const bool bezier = example.family == "bezier";
  for (int d = bezier ? 2 : 1; d <= (bezier ? 2 : Curve::kMaxWeights); ++d) {
    drawn.curve = bezier ? Curve::bezier(1) : Curve::chebyshev(d);
    const Weights found = widest(drawn.curve, example.bits);
    drawn.margins.push_back(found.margin);
    drawn.w = rounded(drawn.curve, example.bits, found.w);
    drawn.bits = drawn.curve.bits(drawn.w, std::ssize(example.bits));
    if (drawn.equal()) break;
  }
  return drawn;
}

std::string weights_text(const std::vector<double>& w) {
  std::vector<std::string> words;
  for (double v : w) words.push_back(fmt::format("{:g}", v));
  return fmt::format("{}", fmt::join(words, " "));
}

Json json_of(const Drawn& drawn) {
  return {{"example", drawn.example.label},
          {"note", drawn.example.note},
          {"layers", drawn.bits.size()},
          {"curve", drawn.curve.text()},
          {"d", drawn.curve.weights()},
          {"w", drawn.w},
          {"bits", drawn.bits},
          {"printed", drawn.example.bits},
          {"equal", drawn.equal()},
          {"margins", drawn.margins}};
}

std::string markdown(const std::vector<Drawn>& all) {
  std::vector<std::vector<std::string>> rows = {
      {"example", "layers", "printed bits", "weights", "w", "drawn exactly", "margin", "margin with one weight less"}};
  std::string failed;
  for (const Drawn& drawn : all) {
    const size_t n = drawn.margins.size();
    rows.push_back({fmt::format("{} ({})", drawn.example.label, drawn.example.note),
                    fmt::format("{}", drawn.bits.size()), "`" + format_bits(drawn.example.bits) + "`",
                    fmt::format("{}", drawn.curve.weights()), weights_text(drawn.w), drawn.equal() ? "yes" : "**no**",
                    fmt::format("{:+.3f}", drawn.margins[n - 1]),
                    n > 1 ? fmt::format("{:+.3f}", drawn.margins[n - 2]) : "-"});
    if (!drawn.equal())
      failed += fmt::format("\nExample {} cannot be drawn with {} weights or fewer in [0,1].\n", drawn.example.label,
                            drawn.curve.weights());
  }
  return fmt::format(
      "# Fig. 2: modified Chebyshev functions and their bits\n\n"
      "Layer i of n has round(clamp(8 p(i/n) + 1, 1, 8)) bits. The paper prints the bits of three examples; the "
      "weights in [0,1] are ours: the fewest that draw the list, and among those the ones farthest from any rounding "
      "limit (a linear program; margin: that distance in bits, negative where no weights draw the list). Nothing is "
      "trained, so both presets give this result.\n\n{}{}",
      markdown_table(rows), failed);
}

std::vector<std::vector<std::string>> csv(const std::vector<Drawn>& all) {
  std::vector<std::vector<std::string>> lines = {{"example", "curve", "layer", "x", "p", "bits", "printed"}};
  for (const Drawn& drawn : all) {
    const size_t n = drawn.bits.size();
    for (size_t i = 0; i < n; ++i) {
      const double x = static_cast<double>(i + 1) / static_cast<double>(n);
      lines.push_back({drawn.example.label, drawn.curve.text(), fmt::format("{}", i + 1), fmt::format("{:.6g}", x),
                       fmt::format("{:.6g}", drawn.curve.value(x, drawn.w)), fmt::format("{}", drawn.bits[i]),
                       fmt::format("{}", drawn.example.bits[i])});
    }
  }
  return lines;
}

/// One panel: the function on the left axis, bits on the right one, which is 8 p + 1, so that a bit's step is where
/// the function is rounded to it.
std::string panel(const Drawn& drawn, size_t index) {
  const auto n = static_cast<double>(drawn.bits.size());
  app::DataBlock curve(fmt::format("curve{}", index)), points(fmt::format("points{}", index)),
      steps(fmt::format("steps{}", index)), boxes(fmt::format("boxes{}", index));
  double low = 0, high = 0.875;
  for (int i = 0; i <= 300; ++i) {
    const double layer = 1 + (n - 1) * i / 300, p = drawn.curve.value(layer / n, drawn.w);
    curve.row({layer, p});
    low = std::min(low, p);
    high = std::max(high, p);
  }
  low -= 0.08;
  high += 0.08;
  for (size_t i = 0; i < drawn.bits.size(); ++i) {
    const auto layer = static_cast<double>(i + 1), bits = static_cast<double>(drawn.bits[i]);
    points.row({layer, drawn.curve.value(layer / n, drawn.w)});
    boxes.row({layer, bits, layer - 0.5, layer + 0.5, 8 * low + 1, bits});
    steps.row({layer - 0.5, bits});
  }
  steps.row({n + 0.5, static_cast<double>(drawn.bits.back())});
  const std::string colour = app::ink::series(static_cast<int>(index));
  app::Script s;
  s.line("set title {} offset 0,-0.4 tc rgb '{}'",
         app::in_quotes(fmt::format("{}:  {},  {} weights", drawn.example.label, format_bits(drawn.example.bits),
                                    drawn.curve.weights())),
         app::ink::kText);
  s.line("set xrange [0.4:{}]\nset xtics 1,{}\nset yrange [{}:{}]\nset y2range [{}:{}]", n + 0.6, n > 10 ? 2 : 1, low,
         high, 8 * low + 1, 8 * high + 1);
  s.plot(boxes, fmt::format("axes x1y2 with boxxyerror fs solid 0.16 noborder lc rgb '{}' notitle", colour));
  s.plot(steps, fmt::format("axes x1y2 with steps lw 1.4 lc rgb '{}' notitle", app::ink::kText));
  s.plot(curve, fmt::format("with lines lw 2 lc rgb '{}' notitle", colour));
  s.plot(points, fmt::format("with points pt 7 ps 0.55 lc rgb '{}' notitle", colour));
  return s.text();
}

Results::Plot plot(const std::vector<Drawn>& all) {
  app::Script each;
  each.line("set border 11 lc rgb '{}'\nset y2tics 1,1,8\nset ytics nomirror\nunset grid", app::ink::kMuted);
  each.line("set grid y2tics lc rgb '{}' lt 1 lw 0.6", app::ink::kGrid);
  each.line("set xlabel 'layer' offset 0,0.4\nset ylabel 'p(x)' offset 1,0\nset y2label 'bits' offset -1,0");
  std::vector<std::string> panels;
  for (const Drawn& drawn : all)
    if (drawn.example.drawn) panels.push_back(panel(drawn, panels.size()));
  const std::vector<std::string> key = {
      fmt::format("with linespoints lw 2 pt 7 ps 0.55 lc rgb '{}' title 'p(x), dots at the layers'",
                  app::ink::series(0)),
      fmt::format("with lines lw 1.4 lc rgb '{}' title 'bits (right axis)'", app::ink::kText)};
  return {"curves", "Fig. 2: curves and the bits they draw", panels_script(each.text(), panels, key), 1000, 680};
}

Results figure() {
  std::vector<Drawn> all;
  for (const Example& example : examples()) all.push_back(draw(example));
  Json list = Json::array();
  for (const Drawn& drawn : all) list.push_back(json_of(drawn));
  return {.json = {{"experiment", "fig2"}, {"examples", list}},
          .markdown = markdown(all),
          .csv = csv(all),
          .plots = {plot(all)}};
}

}  // namespace
}  // namespace kronbit::experiments

int main(int argc, char** argv) {
  using namespace kronbit::experiments;
  return run_experiment(argc, argv, "fig2", "Fig. 2 of the paper: curves and the bits they draw",
                        [](Experiment&) { return figure(); });
}
