// What readers see of the judged strategies: tables, lines of CSV and pictures, from the JSON alone.
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "apps/experiments/common/judge.h"
#include "apps/experiments/common/panels.h"

namespace kronbit::experiments {
namespace {

constexpr double kEndless = 1e300;

/// Null stands for infinite.
std::optional<double> value(const Json& json) {
  return json.is_null() ? std::nullopt : std::optional(as_number(json, -kEndless, kEndless, "value", "strategies"));
}
std::string text(const Json& json, int digits, double times = 1.0) {
  const std::optional<double> number = value(json);
  return number ? fmt::format("{:.{}f}", times * *number, digits) : "-";
}
std::vector<std::optional<double>> values(const Json& json) {
  std::vector<std::optional<double>> result;
  for (const Json& each : json) result.push_back(value(each));
  return result;
}
std::string name_of(const Json& json) { return get_string(json, "name", "strategies"); }
bool is_table(const Json& json) { return has(json, "table"); }
/// Of a table: accuracies, in points; of functions: shares of the target's range, in percent.
constexpr double kPoints = 100.0;
/// Regrets below it are drawn at it, for the axis is logarithmic.
constexpr double kLeastShown = 1e-4;

std::string interval(const Json& json) {
  return fmt::format("{} ({} to {})", text(json["iqm"], 2, kPoints), text(json["low"], 2, kPoints),
                     text(json["high"], 2, kPoints));
}
std::string reached(const Json& json) {
  return fmt::format("{} ({:.0f} %)", text(json["median"], 1), 100 * value(json["share"]).value_or(0.0));
}

/// A mean difference with its standard error: of the replays, and of the trainings that tell what is true.
std::string better(const Json& p) {
  if (p.is_null()) return "";
  const bool some_without = has(p, "without") && p["without"].get<int64_t>() > 0;
  const std::optional<double> replays = value(p["error"]), truth = value(p["truth_error"]);
  return fmt::format("{} ± {} ({} won, {} equal of {}{})", text(p["mean"], 2, kPoints),
                     replays && truth ? fmt::format("{:.2f}", kPoints * std::hypot(*replays, *truth)) : "-",
                     p["wins"].get<int64_t>(), p["ties"].get<int64_t>(), p["pairs"].get<int64_t>(),
                     some_without ? fmt::format("; mean without {}", p["without"].get<int64_t>()) : "");
}

std::string case_text(const Json& json, const std::string& against) {
  std::string out = fmt::format("## {}\n\n{} candidates. Highest true score {}", name_of(json),
                                json["candidates"].get<int64_t>(), text(json["optimum"]["score"], 4));
  if (value(json["optimum"]["error"]).value_or(0.0) > 0.0)
    out += fmt::format(" ± {}", text(json["optimum"]["error"], 4));
  if (const std::string& bits = get_string(json["optimum"], "bits", "strategies"); !bits.empty())
    out += fmt::format(" (`{}`)", bits);
  out +=
      fmt::format("; choosing by what one training of every candidate tells would leave a regret of {} on average.\n\n",
                  text(json["regret_of_everything_run"], 2, kPoints));
  const auto any_has = [&](const char* key) {
    return std::any_of(json["strategies"].begin(), json["strategies"].end(),
                       [&](const Json& strategy) { return has(strategy, key); });
  };
  const bool choices = any_has("model_choice");
  std::vector<std::pair<const char*, std::string>> pairings;  // key and head
  if (any_has("paired")) pairings.emplace_back("paired", "better than " + against);
  if (any_has("paired_choice")) pairings.emplace_back("paired_choice", "model's choice better than " + against);
  std::vector<std::vector<std::string>> rows = {{"strategy", "final regret"}};
  if (choices) rows[0].push_back("regret of the model's choice");
  for (const char* head : {"reached, measured", "reached, true", "runs by task", "own seconds"})
    rows[0].push_back(head);
  for (const auto& [key, head] : pairings) rows[0].push_back(head);
  for (const Json& strategy : json["strategies"]) {
    rows.push_back({name_of(strategy), interval(strategy["final"])});
    if (choices) rows.back().push_back(has(strategy, "model_choice") ? interval(strategy["model_choice"]) : "");
    rows.back().push_back(reached(strategy["reached_validation"]));
    rows.back().push_back(reached(strategy["reached"]));
    std::vector<std::string> bought;
    for (const Json& runs : strategy["bought"]) bought.push_back(text(runs, 1));
    rows.back().push_back(fmt::format("{}", fmt::join(bought, " / ")));
    rows.back().push_back(text(strategy["thought_seconds"], 2));
    if (strategy["failed"].get<int64_t>() > 0)
      rows.back()[0] += fmt::format(" ({} ended early)", strategy["failed"].get<int64_t>());
    for (const auto& [key, head] : pairings) rows.back().push_back(has(strategy, key) ? better(strategy[key]) : "");
  }
  return out + markdown_table(rows) + "\n";
}

/// What replays differ by.
std::string told(const Json& json) {
  if (!is_table(json))
    return "Every candidate has one value per task, so all replays are told the same: they differ by the strategy's "
           "own "
           "randomness only, and intervals say nothing of noise.";
  const int64_t once = json["table"]["trained_once"].get<int64_t>();
  return fmt::format(
      "In every replay each candidate has one of its recorded trainings, the same for all strategies; {} of {} "
      "configurations were trained once only, so replays hardly differ by the luck of trainings, and intervals of "
      "regrets say nothing of it.",
      once, json["table"]["configurations"].get<int64_t>());
}

/// Of the final regrets `which` ("iqm", "mean") of a strategy in every case: how many are at most `limit`; the largest.
int64_t at_most(const Json& json, size_t strategy, const char* which, double limit) {
  return std::count_if(json["cases"].begin(), json["cases"].end(), [&](const Json& each) {
    return value(each["strategies"][strategy]["final"][which]).value_or(kEndless) <= limit;
  });
}
double largest(const Json& json, size_t strategy, const char* which) {
  double most = 0.0;
  for (const Json& each : json["cases"])
    most = std::max(most, value(each["strategies"][strategy]["final"][which]).value_or(kEndless));
  return most;
}
/// Mean over the cases of 1 + how many have less regret + half of how many others have the same.
double mean_rank(const Json& json, size_t strategy) {
  double sum = 0.0;
  for (const Json& each : json["cases"]) {
    const auto regret = [&](size_t s) { return value(each["strategies"][s]["final"]["iqm"]).value_or(kEndless); };
    for (size_t other = 0; other < each["strategies"].size(); ++other)
      sum += other == strategy                   ? 1.0
             : regret(other) < regret(strategy)  ? 1.0
             : regret(other) == regret(strategy) ? 0.5
                                                 : 0;
  }
  return sum / static_cast<double>(json["cases"].size());
}

/// Every strategy over all cases.
std::string overall(const Json& json) {
  const size_t cases = json["cases"].size();
  std::vector<std::vector<std::string>> rows = {{"strategy", "mean rank", "at most 0.05", "at most 1", "largest",
                                                 "mean at most 0.05", "mean at most 1", "largest mean"}};
  for (size_t s = 0; s < json["strategies"].size(); ++s) {
    rows.push_back({name_of(json["strategies"][s]), fmt::format("{:.1f}", mean_rank(json, s))});
    for (const char* which : {"iqm", "mean"}) {
      for (const double limit : {0.0005, 0.01})
        rows.back().push_back(fmt::format("{} of {}", at_most(json, s, which, limit), cases));
      const double most = largest(json, s, which);
      rows.back().push_back(most < kEndless ? fmt::format("{:.1f}", kPoints * most) : "-");
    }
  }
  return "## Over all\n\nFinal regrets; \"mean\" is of all replays, the others of their middle half. Rank 1 has the "
         "least "
         "regret.\n\n" +
         markdown_table(rows) + "\n";
}

std::string markdown(const Json& json) {
  const std::string against = get_string(json, "against", "strategies");
  std::string out = "# Strategies judged\n\n";
  if (is_table(json))
    out += fmt::format("Replayed on `{}`: {} configurations, {} trainings, tasks of {} epochs. ",
                       get_string(json["table"], "file", "strategies"), json["table"]["configurations"].get<int64_t>(),
                       json["table"]["trainings"].get<int64_t>(), get_string(json["table"], "tasks", "strategies"));
  out += fmt::format(
      "{} replays of each strategy, up to {} times the cost of a run to the last task; {}. {} The regret of a strategy "
      "is the highest true score less that of its incumbent: the best by what the search was told. True: ",
      json["replays"].get<int64_t>(), text(json["budget"], 1), get_string(json, "program", "strategies"), told(json));
  out += is_table(json) ? "the mean test accuracy over the recorded trainings. Units: points. "
                        : "the target itself. Units: percent of its range over the candidates. ";
  out += fmt::format(
      "Final regrets are means of the middle half of the replays with bootstrapped 95 % intervals. Reached: runs to "
      "the "
      "last task that had to be paid until the incumbent was within {} of the best for good, measured (by what was "
      "told) and true; median over replays, those that did not end there counted as endless, and the share that did. "
      "Better than another: mean difference of the regrets of equal replays ± its standard error, from the replays and "
      "from the trainings that tell what is true, and how many were won; one without an incumbent is lost against one "
      "with. {}\n\n",
      text(json["tolerance"], 2, kPoints),
      json["pay_difference"].get<bool>() ? "A promoted training goes on where it stopped."
                                         : "A promoted training starts again and is paid whole.");
  if (has(json, "population"))
    out += fmt::format(
        "nsga2 and evolution begin with {} random runs, gp-ei and gp-ucb with two more than a curve has weights: where "
        "the budget ends before, they are random search.\n\n",
        json["population"].get<int64_t>());
  out += fmt::format("    {}\n\n", get_string(json, "command", "strategies"));
  std::vector<std::vector<std::string>> list = {{"strategy", ""}};
  for (const Json& s : json["strategies"]) list.push_back({name_of(s), get_string(s, "what", "strategies")});
  out += markdown_table(list) + "\n";
  if (json["cases"].size() > 1) out += overall(json);
  for (const Json& each : json["cases"]) out += case_text(each, against);
  return out;
}

std::vector<std::vector<std::string>> csv(const Json& json) {
  std::vector<std::vector<std::string>> rows = {{"case", "strategy", "cost", "regret_median", "regret_low",
                                                 "regret_high", "incumbent_median", "incumbent_low", "incumbent_high"}};
  for (const Json& each : json["cases"]) {
    for (const Json& strategy : each["strategies"]) {
      for (size_t g = 0; g < each["grid"].size(); ++g) {
        rows.push_back({name_of(each), name_of(strategy), fmt::format("{:.4g}", *value(each["grid"][g]))});
        for (const char* what : {"regret", "incumbent"})
          for (const char* which : {"median", "low", "high"}) {
            const std::optional<double> v = value(strategy[what][which][g]);
            rows.back().push_back(v ? fmt::format("{:.5g}", *v) : "");
          }
      }
    }
  }
  return rows;
}

std::string line_style(size_t strategy) {
  return fmt::format("lw {} dt {} lc rgb '{}'", strategy == 0 ? 3 : 1.6, strategy / app::ink::kSeries + 1,
                     app::ink::series(static_cast<int>(strategy)));
}

/// One panel of medians; quartiles of the first strategy only, for all would hide each other.
std::string panel(const Json& json, const std::string& what, size_t number) {
  app::Script s;
  s.line("set title {} offset 0,-0.4 tc rgb '{}'", app::in_quotes(name_of(json)), app::ink::kText);
  const auto grid = values(json["grid"]);
  s.line("set xrange [*:{}]", *grid.back());
  const bool regret = what == "regret";
  for (size_t k = 0; k < json["strategies"].size(); ++k) {
    const Json& of = json["strategies"][k][what];
    const auto median = values(of["median"]), low = values(of["low"]), high = values(of["high"]);
    app::DataBlock lines(fmt::format("d{}_{}", number, k)), band(fmt::format("b{}_{}", number, k));
    for (size_t g = 0; g < grid.size(); ++g) {
      if (!median[g]) continue;
      const auto shown = [&](double v) { return kPoints * (regret ? std::max(v, kLeastShown) : v); };
      lines.row({*grid[g], shown(*median[g])});
      if (!low[g] || !high[g]) continue;
      band.row({*grid[g], shown(*low[g]), shown(*high[g])});
      if (g + 1 < grid.size()) band.row({*grid[g + 1], shown(*low[g]), shown(*high[g])});  // steps, as the median
    }
    if (k == 0)
      s.plot(band, fmt::format("using 1:2:3 with filledcurves fs transparent solid 0.15 noborder lc rgb '{}' notitle",
                               app::ink::series(0)));
    s.plot(lines, fmt::format("with steps {} notitle", line_style(k)));
  }
  return s.text();
}

/// Panels of all cases; empty when nothing can be drawn.
std::vector<Results::Plot> plots(const Json& json) {
  std::vector<Results::Plot> all;
  std::vector<std::string> key;
  for (size_t k = 0; k < json["strategies"].size(); ++k)
    key.push_back(fmt::format("with lines {} title {}", line_style(k), app::in_quotes(name_of(json["strategies"][k]))));
  for (const auto& [what, label] :
       {std::pair{"regret", "regret"}, {"incumbent", "score of the incumbent as measured"}}) {
    app::Script each;
    each.line("set border 3 lc rgb '{}'\nset tics nomirror\nset logscale x", app::ink::kMuted);
    if (std::string(what) == "regret") each.line("set logscale y");
    each.line("set xlabel 'cost (runs to the last task)' offset 0,0.4\nset ylabel '{}{}' offset 1,0", label,
              std::string(what) == "regret"
                  ? fmt::format(" (below {:g} at {:g})", kPoints * kLeastShown, kPoints * kLeastShown)
                  : "");
    std::vector<std::string> panels;
    for (const Json& of : json["cases"]) panels.push_back(panel(of, what, panels.size()));
    all.push_back({what, fmt::format("Median {} against cost; the band is of the quartiles of the first", label),
                   panels_script(each.text(), panels, key), 1100,
                   static_cast<int>(260 + 300 * ((panels.size() + 1) / 2))});
  }
  return all;
}

}  // namespace

Results judged(Json json) {
  Results results;
  results.markdown = markdown(json);
  results.csv = csv(json);
  results.plots = plots(json);
  results.json = std::move(json);
  return results;
}

}  // namespace kronbit::experiments
