// Pictures of how the search went, and of how far its model can be trusted.
#include <algorithm>
#include <cmath>

#include "apps/kronbit/report/plot_parts.h"
#include "apps/kronbit/report/plots.h"

namespace kronbit::app {
namespace {

struct TimeUnit {
  double seconds;
  const char* name;
};
TimeUnit time_unit(double longest) {
  if (longest < 300) return {1, "seconds"};
  if (longest < 3 * 3600) return {60, "minutes"};
  return {3600, "hours"};
}

}  // namespace

std::string plot_information(Plotter& plotter, const SearchReport& report) {
  // Per cost of the cheapest task, so that the axis has numbers one can read.
  const double unit = report.run.space.costs[0];
  Script s;
  s.line("set xlabel 'evaluation'\nset ylabel 'information per cost'");
  s.line("set xrange [0:{}]\nset yrange [0:*]", report.plans.size() + 1);
  double least = 1e300, most = 0;
  for (int task = 0; task < report.tasks(); ++task) {
    DataBlock chosen(fmt::format("task{}", task));
    for (size_t i = 0; i < report.plans.size(); ++i) {
      const PlannedEvaluation& p = report.plans[i];
      if (p.task != task || !p.informed || p.information <= 0) continue;
      const double worth = p.information / p.cost * unit;
      least = std::min(least, worth);
      most = std::max(most, worth);
      chosen.row({static_cast<double>(i + 1), worth});
    }
    s.plot(chosen, fmt::format("with points {} ps 0.8 title '{}'", task_style(task), task_name(report, task)));
  }
  if (most > 30 * least) s.line("set logscale y\nset yrange [*:*]\nset format y '%g'");
  return s.empty() ? "" : plotter.draw("information", "information per cost", s.text(), 980, 320);
}

std::string plot_progress(Plotter& plotter, const SearchReport& report) {
  double longest = 0;
  for (const PlannedEvaluation& p : report.plans) longest = std::max(longest, p.total_seconds);
  if (longest <= 0) return "";
  const TimeUnit unit = time_unit(longest);
  const std::vector<std::vector<double>> known = known_accuracies(report);
  Script s;
  s.line("set xlabel 'time spent in evaluations ({})'\nset ylabel 'accuracy (%)'\nset xrange [0:{}]", unit.name,
         1.02 * longest / unit.seconds);
  for (int task = 0; task < report.tasks(); ++task) {
    DataBlock measured(fmt::format("task{}", task));
    for (const PlannedEvaluation& p : report.plans)
      if (p.done && p.task == task)
        measured.row({p.total_seconds / unit.seconds, 100 * known[p.candidate][static_cast<size_t>(task)]});
    s.plot(measured, fmt::format("with points {} ps 0.7 title '{}'", task_style(task), task_name(report, task)));
  }
  // The best so far in the sense of the goal, among those measured at the last task.
  DataBlock best("best");
  const bool effective = report.run.space.goal.by == search::By::Effective;
  double highest = 0, accuracy = -1;
  for (const PlannedEvaluation& p : report.plans) {
    if (!p.done || p.task + 1 != report.tasks()) continue;
    const search::Candidate& c = report.run.space.candidates[p.candidate];
    const double a = known[p.candidate].back();
    const double score = search::score(report.run.space.goal, a, c.bits, c.cost);
    if (accuracy < 0 || score > highest) highest = score, accuracy = a;
    best.row({p.total_seconds / unit.seconds, 100 * accuracy, 100 * highest});
  }
  if (accuracy >= 0) best.row({longest / unit.seconds, 100 * accuracy, 100 * highest});
  s.plot(best, fmt::format("with steps lw 2 lc rgb '{}' title 'best so far'", ink::kText));
  if (effective && accuracy >= 0) {
    s.line("set y2tics\nset border 11 lc rgb '{}'\nset y2label 'effective accuracy (%)'", ink::kMuted);
    s.plot_again(
        "best",
        fmt::format("using 1:3 axes x1y2 with steps lw 1.4 dt (4,3) lc rgb '{}' title 'its effective accuracy (right)'",
                    ink::kMuted));
  }
  return plotter.draw("progress", "accuracy over time", s.text(), 980, 340);
}

std::string plot_trust(Plotter& plotter, const SearchReport& report) {
  if (report.foretold.empty()) return "";
  double lo = 1, hi = 0;
  for (const Foretold& f : report.foretold) {
    lo = std::min({lo, f.observed, std::max(0.0, f.mean - 2 * f.sd)});
    hi = std::max({hi, f.observed, std::min(1.0, f.mean + 2 * f.sd)});
  }
  lo = 100 * lo - 1, hi = 100 * hi + 1;
  Script s;
  s.line(
      "set xlabel 'observed accuracy (%)'\nset ylabel 'foretold without it (%)'\nset xrange [{0}:{1}]\nset yrange "
      "[{0}:{1}]",
      lo, hi);
  DataBlock diagonal("diagonal");
  diagonal.row({lo, lo});
  diagonal.row({hi, hi});
  s.plot(diagonal, fmt::format("with lines dt (3,3) lc rgb '{}' title 'equal'", ink::kMuted));
  for (int task = 0; task < report.tasks(); ++task) {
    DataBlock points(fmt::format("task{}", task));
    for (const Foretold& f : report.foretold)
      if (f.task == task) points.row({100 * f.observed, 100 * f.mean, 200 * f.sd});
    s.plot(points, fmt::format("with yerrorbars {} ps 0.6 title '{}'", task_style(task), task_name(report, task)));
  }
  return plotter.draw("trust", "foretold against observed accuracy", s.text(), 980, 520);
}

}  // namespace kronbit::app
