// Fig. 4 of the paper: a search along a curve of one weight, on a toy network of ten convolutions, and what the
// multi-task model makes of it at every task.
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "apps/experiments/common/panels.h"
#include "apps/experiments/common/runs.h"
#include "apps/kronbit/progress.h"
#include "apps/kronbit/report/data.h"
#include "apps/kronbit/report/plot_parts.h"

namespace kronbit::experiments {
namespace {

constexpr const char* kNet = "toy10";
constexpr int kSamples = 101;  // of the weight, 0 to 1

/// A run of the search, in the order they were chosen.
struct Run {
  double w = 0;
  Bits bits;
  int task = 0;
  std::string reason;
  double cost = 0, information = 0, seconds = 0;
  std::vector<double> accuracies;  ///< of the tasks it passed
};

/// What the model expects at one task, at w = 0, 0.01 .. 1. Units: fractions.
struct Panel {
  double epochs = 0;
  std::vector<double> mean, sd;
  struct Observed {
    double w, accuracy;
    bool on_the_way;  ///< of a run to a later task
  };
  std::vector<Observed> observed;
};

struct Figure {
  Subject subject;
  std::optional<Training> training;
  std::optional<Search> search;
  std::vector<Run> runs;
  std::vector<double> w;
  std::vector<Bits> bits;  ///< at each w
  std::vector<Sizes> sizes;
  std::vector<Panel> panels;
  size_t observations = 0;
  std::optional<app::Expected> best, best_accuracy;
};

std::vector<Run> runs_of(const app::RunView& view) {
  const std::string where = view.folder.string();
  std::map<int64_t, Run> runs;
  for (const Json& line : view.lines) {
    const std::string& event = get_string(line, "event", where);
    if (event == "plan") {
      for (const Json& planned : get_array(line, "runs", where)) {
        Run& run = runs[get_int(planned, "plan", 0, INT64_MAX, where)];
        run.w = get(planned, "w", where).at(0).get<double>();
        run.bits = get(planned, "bits", where).get<Bits>();
        run.task = static_cast<int>(get_int(planned, "task", 0, std::ssize(view.space.epochs) - 1, where));
        run.reason = get_string(planned, "reason", where);
        run.cost = get_number(planned, "cost", 0, 1e300, where);
        run.information = get_number(planned, "information", -1e9, 1e9, where);
      }
    } else if (event == "evaluation") {
      Run& run = runs[get_int(line, "plan", 0, INT64_MAX, where)];
      run.accuracies = get(line, "accuracies", where).get<std::vector<double>>();
      run.seconds = get_number(line, "seconds", 0, 1e12, where);
    }
  }
  std::vector<Run> done;
  for (auto& [index, run] : runs)
    if (!run.accuracies.empty()) done.push_back(std::move(run));
  return done;
}

void sample(Figure& figure) {
  const app::RunView& view = figure.search->run();
  const gp::MultiTaskGp& model = figure.search->model().gp();
  std::vector<std::vector<double>> points;
  for (int i = 0; i < kSamples; ++i) {
    const double w = static_cast<double>(i) / (kSamples - 1);
    figure.w.push_back(w);
    points.push_back({w});
    figure.bits.push_back(view.space.curve.bits(points.back(), std::ssize(view.space.layers)));
    figure.sizes.push_back(sizes_of(view.space.layers, figure.bits.back()));
  }
  for (int task = 0; task < model.tasks(); ++task) {
    Panel panel;
    panel.epochs = view.space.epochs[static_cast<size_t>(task)];
    const gp::Posterior posterior = model.predict(points, task);
    panel.mean = posterior.mean;
    for (double variance : posterior.variance) panel.sd.push_back(std::sqrt(std::max(0.0, variance)));
    for (const gp::Observation& o : model.observations()) {
      if (o.task != task) continue;
      bool chosen = false;
      for (const Run& run : figure.runs) chosen |= run.w == o.x[0] && run.task == task;
      panel.observed.push_back({o.x[0], o.y, !chosen});
    }
    figure.panels.push_back(std::move(panel));
  }
  figure.observations = model.observations().size();
}

Figure work(Experiment& experiment) {
  if (!experiment.settings().wants(kNet)) input_error("--net", "wanted {}, the only network here", kNet);
  Figure figure;
  figure.subject = {kNet, experiment.settings().data};
  figure.training = train(experiment, figure.subject);
  if (figure.training) figure.search = search(experiment, figure.subject, "line", {"--no-baselines"});
  if (!figure.search) return figure;
  figure.runs = runs_of(figure.search->run());
  sample(figure);
  const app::SearchReport report = app::read_search_report(figure.search->run().folder);
  figure.best = report.best;
  figure.best_accuracy = figure.search->best_within(app::fp32_bytes(figure.search->run().space));
  return figure;
}

double megabytes(const Sizes& sizes) { return static_cast<double>(sizes.paper) / 1e6; }

Json json_of(const Run& run, double epochs) {
  return {{"w", run.w},       {"bits", format_bits(run.bits)}, {"task", run.task},
          {"epochs", epochs}, {"reason", run.reason},          {"information", run.information},
          {"cost", run.cost}, {"accuracies", run.accuracies},  {"seconds", run.seconds}};
}

Json json_of(const std::optional<app::Expected>& best, const app::RunView& view) {
  if (!best) return nullptr;
  const Sizes sizes = sizes_of(view.space.layers, best->bits);
  return {{"w", best->w},
          {"bits", format_bits(best->bits)},
          {"accuracy", best->accuracy},
          {"sd", best->sd},
          {"measured", best->measured ? Json(*best->measured) : Json(nullptr)},
          {"bytes", {{"paper", sizes.paper}, {"packed", sizes.packed}}}};
}

Json json_of(const Figure& figure, const Experiment& experiment) {
  Json json = {{"experiment", "fig4"},      {"preset", experiment.settings().preset},
               {"machine", machine_line()}, {"net", kNet},
               {"curve", "line"},           {"fp32", figure.training ? to_json(*figure.training) : Json(nullptr)}};
  if (!figure.search) return json;
  const app::RunView& view = figure.search->run();
  Json runs = Json::array(), tasks = Json::array(), sizes = Json::array();
  for (const Run& run : figure.runs) runs.push_back(json_of(run, view.space.epochs[static_cast<size_t>(run.task)]));
  for (const Panel& panel : figure.panels) {
    Json observed = Json::array();
    for (const auto& o : panel.observed)
      observed.push_back({{"w", o.w}, {"accuracy", o.accuracy}, {"on_the_way", o.on_the_way}});
    tasks.push_back({{"epochs", panel.epochs}, {"mean", panel.mean}, {"sd", panel.sd}, {"observations", observed}});
  }
  for (size_t i = 0; i < figure.w.size(); ++i)
    sizes.push_back({{"w", figure.w[i]},
                     {"bits", format_bits(figure.bits[i])},
                     {"paper", figure.sizes[i].paper},
                     {"packed", figure.sizes[i].packed}});
  json["search"] = figure.search->to_json();
  json["runs"] = runs;
  json["observations"] = figure.observations;
  json["tasks"] = tasks;
  json["sizes"] = sizes;
  json["best"] = {{"effective", json_of(figure.best, view)}, {"accuracy", json_of(figure.best_accuracy, view)}};
  return json;
}

std::string epochs_text(double epochs) { return fmt::format("{:g} epoch{}", epochs, epochs == 1 ? "" : "s"); }

std::string best_text(const Figure& figure) {
  const auto& layers = figure.search->run().space.layers;
  std::vector<std::vector<std::string>> rows = {
      {"predicted best by", "w", "bits", "expected after the last task", "measured there", "MB (paper's rule)"}};
  const auto add = [&](const char* by, const std::optional<app::Expected>& best) {
    if (!best) return;
    rows.push_back({by, fmt::format("{:.3f}", best->w[0]), "`" + format_bits(best->bits) + "`",
                    percent_text(best->accuracy, best->sd), percent_text(best->measured),
                    fmt::format("{:.4f}", megabytes(sizes_of(layers, best->bits)))});
  };
  add("effective accuracy (the paper's decision)", figure.best);
  add("accuracy alone", figure.best_accuracy);
  return markdown_table(rows);
}

std::string runs_text(const Figure& figure) {
  const app::RunView& view = figure.search->run();
  std::vector<std::vector<std::string>> rows = {
      {"", "w", "bits", "task", "chosen for", "cost", "nats", "accuracies on the way", "seconds"}};
  for (size_t i = 0; i < figure.runs.size(); ++i) {
    const Run& run = figure.runs[i];
    std::vector<std::string> accuracies;
    for (double a : run.accuracies) accuracies.push_back(fmt::format("{:.2f}", 100 * a));
    rows.push_back({fmt::format("{}", i + 1), fmt::format("{:.3f}", run.w), "`" + format_bits(run.bits) + "`",
                    epochs_text(view.space.epochs[static_cast<size_t>(run.task)]), run.reason,
                    fmt::format("{:.0f}", run.cost / view.space.costs[0]),
                    run.reason == "information" ? fmt::format("{:.3f}", run.information) : "-",
                    fmt::format("{}", fmt::join(accuracies, ", ")), fmt::format("{:.1f}", run.seconds)});
  }
  return markdown_table(rows);
}

std::string markdown(const Figure& figure, const Experiment& experiment) {
  std::string text = fmt::format(
      "# Fig. 4: the multi-task model along one weight\n\nPreset {}, {}. A toy network of ten convolutions, curve g(t; "
      "w) = 0.5 + t (w - 0.5). ",
      experiment.settings().preset, machine_line());
  if (!figure.training) return text + "\n\nNothing has been run yet.\n";
  text += fmt::format("In floating point: {} on validation images, {} on the test split, after {}.\n\n",
                      percent_text(figure.training->validation), percent_text(figure.training->test),
                      epochs_text(figure.training->epochs));
  text += fmt::format("    {}    # {}\n", figure.training->command, app::duration_text(figure.training->seconds));
  if (!figure.search) return text + "\nThe search has not been run to its end yet.\n";
  const Json search = figure.search->to_json();
  text += fmt::format("    {}    # {}\n\n", search["command"].get<std::string>(),
                      app::duration_text(search["seconds"].get<double>()));
  const search::ExplorerOptions& options = figure.search->run().space.explorer;
  text += fmt::format(
      "{} runs gave {} observations: a run to a later task passes the earlier ones, and these are kept (the paper "
      "counts one per run). {} bit lists can be drawn. Two differences to the paper's exploration: the first runs are "
      "a design before there is a model, and {} in {} later ones is a target, run where the goal may be reached best, "
      "instead of for its information. cost: in evaluations without training. nats: what the run was expected to tell "
      "about the last task.\n\n{}\n{}",
      figure.runs.size(), figure.observations, search["candidates"].get<int64_t>(), options.strategy.target_runs,
      options.strategy.round, runs_text(figure), best_text(figure));
  return text;
}

std::vector<std::vector<std::string>> csv(const Figure& figure) {
  std::vector<std::vector<std::string>> lines = {
      {"kind", "task", "epochs", "w", "accuracy", "sd", "bits", "megabytes_paper"}};
  for (size_t task = 0; task < figure.panels.size(); ++task) {
    const Panel& panel = figure.panels[task];
    const auto head = [&](const char* kind) {
      return std::vector<std::string>{kind, fmt::format("{}", task), fmt::format("{:g}", panel.epochs)};
    };
    for (size_t i = 0; i < figure.w.size(); ++i) {
      lines.push_back(head("model"));
      for (const std::string& cell :
           {fmt::format("{:g}", figure.w[i]), fmt::format("{:.6f}", panel.mean[i]), fmt::format("{:.6f}", panel.sd[i]),
            format_bits(figure.bits[i]), fmt::format("{:.6f}", megabytes(figure.sizes[i]))})
        lines.back().push_back(cell);
    }
    for (const auto& o : panel.observed) {
      lines.push_back(head(o.on_the_way ? "on the way" : "observation"));
      const app::RunView& view = figure.search->run();
      const Bits bits = view.space.curve.bits(std::vector{o.w}, std::ssize(view.space.layers));
      for (const std::string& cell :
           {fmt::format("{:.6f}", o.w), fmt::format("{:.6f}", o.accuracy), std::string(), format_bits(bits),
            fmt::format("{:.6f}", megabytes(sizes_of(view.space.layers, bits)))})
        lines.back().push_back(cell);
    }
  }
  return lines;
}

std::string panel(const Figure& figure, size_t task, const app::ByteUnit& unit) {
  const Panel& at = figure.panels[task];
  app::DataBlock model(fmt::format("model{}", task)), size(fmt::format("size{}", task)),
      chosen(fmt::format("chosen{}", task)), passed(fmt::format("passed{}", task));
  for (size_t i = 0; i < figure.w.size(); ++i) {
    const double mean = 100 * at.mean[i], sd = 100 * at.sd[i];
    model.row({figure.w[i], mean, mean - 2 * sd, mean + 2 * sd});
    size.row({figure.w[i], static_cast<double>(figure.sizes[i].paper) / unit.bytes});
  }
  for (const auto& o : at.observed) (o.on_the_way ? passed : chosen).row({o.w, 100 * o.accuracy});
  app::Script s;
  s.line("set title 'task {}: after {}' offset 0,-0.4 tc rgb '{}'", task + 1, epochs_text(at.epochs), app::ink::kText);
  s.plot(model, fmt::format("using 1:3:4 with filledcurves fs transparent solid 0.2 noborder lc rgb '{}' notitle",
                            app::ink::series(0)));
  s.plot(size, fmt::format("axes x1y2 with steps lw 1.4 lc rgb '{}' notitle", app::ink::series(1)));
  s.plot_again(model.name(), fmt::format("using 1:2 with lines lw 2 lc rgb '{}' notitle", app::ink::series(0)));
  s.plot(passed, fmt::format("with points pt 6 ps 0.8 lw 1.3 lc rgb '{}' notitle", app::ink::kText));
  s.plot(chosen, fmt::format("with points pt 7 ps 0.8 lc rgb '{}' notitle", app::ink::kText));
  return s.text();
}

Results::Plot plot(const Figure& figure) {
  double low = 100, high = 0;
  for (const Panel& panel : figure.panels) {
    for (const auto& o : panel.observed) low = std::min(low, 100 * o.accuracy), high = std::max(high, 100 * o.accuracy);
    for (double mean : panel.mean) low = std::min(low, 100 * mean), high = std::max(high, 100 * mean);
  }
  const app::ByteUnit unit = app::byte_unit(static_cast<double>(figure.sizes.back().paper));
  app::Script each;
  each.line("set border 11 lc rgb '{}'\nset ytics nomirror\nset xrange [0:1]\nset y2range [0:*]", app::ink::kMuted);
  each.line("set yrange [{}:{}]", std::max(0.0, low - 6), std::min(105.0, high + 6));
  each.line("set xlabel 'weight w' offset 0,0.4\nset ylabel 'accuracy (%)' offset 1,0");
  each.line("set y2label 'size ({1})' offset -1,0 tc rgb '{0}'\nset y2tics tc rgb '{0}'", app::ink::series(1),
            unit.name);
  std::vector<std::string> panels;
  for (size_t task = 0; task < figure.panels.size(); ++task) panels.push_back(panel(figure, task, unit));
  const std::vector<std::string> key = {
      fmt::format("with lines lw 2 lc rgb '{}' title 'expected'", app::ink::series(0)),
      fmt::format("with filledcurves y=-1 fs transparent solid 0.2 noborder lc rgb '{}' title '± 2 sd'",
                  app::ink::series(0)),
      fmt::format("with points pt 7 ps 0.8 lc rgb '{}' title 'chosen run'", app::ink::kText),
      fmt::format("with points pt 6 ps 0.8 lw 1.3 lc rgb '{}' title 'passed on the way'", app::ink::kText),
      fmt::format("with lines lw 1.4 lc rgb '{}' title 'size (right axis)'", app::ink::series(1))};
  return {"tasks", "Fig. 4: the model of every task along the weight", panels_script(each.text(), panels, key), 1000,
          static_cast<int>(60 + 320 * ((figure.panels.size() + 1) / 2))};
}

}  // namespace
}  // namespace kronbit::experiments

int main(int argc, char** argv) {
  using namespace kronbit::experiments;
  return run_experiment(argc, argv, "fig4", "Fig. 4 of the paper: the multi-task model along one weight, toy network",
                        [](Experiment& experiment) {
                          const Figure figure = work(experiment);
                          Results results;
                          results.json = json_of(figure, experiment);
                          results.markdown = markdown(figure, experiment);
                          results.csv = csv(figure);
                          if (figure.search) results.plots = {plot(figure)};
                          return results;
                        });
}
