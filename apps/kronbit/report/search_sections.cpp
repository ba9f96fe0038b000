// The sections of a search's report below the answer.
#include <algorithm>
#include <cmath>

#include "apps/kronbit/progress.h"
#include "apps/kronbit/report/html.h"
#include "apps/kronbit/report/sections.h"
#include "gp/calibration.h"
#include "quant/size.h"
#include "tensor/io/parse.h"

namespace kronbit::app {
namespace {

constexpr size_t kTop = 10;
constexpr size_t kMostEvidence = 6;
constexpr size_t kMostFailures = 50;
constexpr size_t kMostEmbedded = 1000;

/// A layer's name that can be broken after its dots.
std::string breakable(const std::string& name) {
  std::string html;
  for (const char c : escape(name)) html += c == '.' ? ".<wbr>" : std::string(1, c);
  return html;
}

/// "<br>4.2 %": the layer's part of the summed sensitivities; nothing where they were not measured.
std::string error_share(const SearchReport& report, size_t layer) {
  const search::ErrorTable& errors = report.run.space.errors;
  if (errors.empty()) return "";
  const Bits bits = report.chosen();
  double total = 0;
  for (size_t l = 0; l < bits.size(); ++l) total += errors[l][static_cast<size_t>(bits[l] - 1)];
  return fmt::format(" / {:.1f} %",
                     100 * errors[layer][static_cast<size_t>(bits[layer] - 1)] / std::max(total, 1e-300));
}

std::vector<std::string> expected_row(const SearchReport& report, const std::string& name, const Expected& e,
                                      bool front) {
  std::vector<std::string> row = {name,
                                  code(e.bits),
                                  fmt::format("{} &plusmn; {:.2f}", percent(e.accuracy), 100 * e.sd),
                                  e.measured ? percent(*e.measured) : "&ndash;",
                                  fmt::format("{:.2f}", 100 * e.effective),
                                  megabytes(e.cost.bytes),
                                  fmt::format("{:.2f}", 100 * e.cost.bytes / fp32_bytes(report.run.space)),
                                  fmt::format("{:.2f}", e.cost.average_bits),
                                  fmt::format("{:.3g}", e.cost.bops / 1e9),
                                  front ? "&bull;" : ""};
  if (report.timed()) row.push_back(milliseconds(e.cost.milliseconds));
  return row;
}

std::string matrix_table(const SearchReport& report, const gp::Matrix& covariance) {
  Table table{.head = {"correlation"}, .rows = {}};
  for (int b = 0; b < report.tasks(); ++b) table.head.push_back(task_name(report, b));
  for (size_t a = 0; a < covariance.rows(); ++a) {
    std::vector<std::string> row = {task_name(report, static_cast<int>(a))};
    for (size_t b = 0; b < covariance.cols(); ++b)
      row.push_back(fmt::format("{:.3f}", covariance(a, b) / std::sqrt(covariance(a, a) * covariance(b, b))));
    table.rows.push_back(std::move(row));
  }
  return table.html();
}

}  // namespace

std::string bits_section(const SearchReport& report, Plotter& plotter) {
  const Bits bits = report.chosen();
  if (bits.empty()) return "";
  const int64_t block = parse_int(report.run.settings.quantizer.block, 1, 65536, "--block");
  std::vector<int64_t> bytes;
  int64_t total = 0, most = 1;
  for (size_t i = 0; i < bits.size(); ++i) {
    bytes.push_back(quant::size_of({&report.run.space.layers[i], 1}, {bits[i]}, quant::SizeRule::Packed, block).bytes);
    total += bytes.back();
    most = std::max(most, bytes.back());
  }
  std::string strip = "<ol class=\"strip\">\n";
  for (size_t i = 0; i < bits.size(); ++i) {
    strip += fmt::format("<li><b>{}</b>{}<i style=\"width:{:.0f}%\"></i>{:.1f} %{}</li>\n", bits[i],
                         breakable(report.run.space.layers[i].name),
                         100.0 * static_cast<double>(bytes[i]) / static_cast<double>(most),
                         100.0 * static_cast<double>(bytes[i]) / static_cast<double>(total), error_share(report, i));
  }
  return section(
      "The bits of every layer",
      figure(
          plot_bits(plotter, report),
          "Bits of the chosen configuration, and the curve that draws them (or the nearest curve, where none does).") +
          strip +
          (report.run.space.errors.empty()
               ? "</ol>\n<p class=\"note\">Bits, layer, and the layer's share of the packed bytes.</p>\n"
               : "</ol>\n<p class=\"note\">Bits, layer, the layer's share of the packed bytes, and its share of the "
                 "error: the change of the logits when it alone is quantized, before any training.</p>\n"));
}

std::string price_section(const SearchReport& report, Plotter& plotter, Price price) {
  if (!report.model || (price == Price::Time && !report.timed())) return "";
  std::string html =
      figure(plot_prices(plotter, report, price, false),
             "Every candidate as the model expects it after the last task (dots) and as measured, each at the highest "
             "task it was run to. "
             "Measurements are on validation images; the final marks are on test images, with &plusmn; 2 sd.");
  if (needs_enlarging(report))
    html += figure(plot_prices(plotter, report, price, true), "The upper end of the same picture.");
  const bool time = price == Price::Time;
  Table table{
      .head = {"mark", "bits", "expected accuracy", time ? "expected time" : "size"}, .rows = {}, .text_columns = 2};
  const std::vector<search::Ranked> marks = marked_front(report, price);
  for (size_t i = 0; i < marks.size(); ++i) {
    const search::Candidate& c = report.run.space.candidates[marks[i].candidate];
    table.rows.push_back({std::string(1, static_cast<char>('a' + i)), code(c.bits),
                          fmt::format("{} &plusmn; {:.2f}", percent(marks[i].accuracy), 100 * marks[i].sd),
                          time ? milliseconds(c.cost.milliseconds) : megabytes(c.cost.bytes)});
  }
  return section(time ? "Accuracy against time" : "Accuracy against size", html + table.html());
}

std::string ranking_section(const SearchReport& report) {
  if (!report.best) return "";
  Table table{.head = {"rank", "bits", "expected &plusmn; sd", "measured", "effective", "size", "% of fp32",
                       "bits/weight", "GBOPs", "front"},
              .rows = {},
              .text_columns = 2};
  if (report.timed()) table.head.push_back("time");
  for (size_t i = 0; i < report.ranked.size() && i < kTop; ++i) {
    const search::Ranked& r = report.ranked[i];
    const search::Candidate& c = report.run.space.candidates[r.candidate];
    table.rows.push_back(expected_row(report, fmt::format("{}", i + 1),
                                      {c.bits, c.w, c.cost, r.accuracy, r.sd, r.effective, r.measured}, r.on_front));
  }
  table.rows.push_back(expected_row(report, "uniform", report.rivals->uniform, false));
  table.rows.push_back(expected_row(report, "reversed", report.rivals->reversed, false));
  return section(
      "The ranking",
      table.html() +
          fmt::format(
              "<p class=\"note\">Best of {} candidates by {}, as expected after the last task on validation images. "
              "effective = accuracy &minus; (sum of bits &minus; 4 n) / {:g}, in points.</p>\n",
              report.ranked.size(), search::name_of(report.run.space.goal.by), report.run.space.goal.k));
}

std::string why_section(const SearchReport& report) {
  if (!report.model || report.chosen().empty()) return "";
  const search::History& history = report.run.state.explorer().history();
  const Bits bits = report.chosen();
  Table table{.head = {"measured", "after", "accuracy", "correlation"}, .rows = {}};
  for (const search::Evidence& e :
       evidence_for(*report.model, history, report.run.space.configuration(bits), kMostEvidence))
    table.rows.push_back({code(history.candidates[e.candidate].bits), task_name(report, e.task), percent(e.accuracy),
                          fmt::format("{:.3f}", e.correlation)});
  return section("Why these bits",
                 fmt::format("<p>The measurements that say most about {}:</p>\n", code(bits)) + table.html() +
                     "<p class=\"note\">Correlation of the measurement, noise included, with the accuracy after the "
                     "last task, as the model sees it.</p>\n");
}

std::string search_section(const SearchReport& report, Plotter& plotter) {
  std::string html = figure(plot_progress(plotter, report),
                            "Accuracies as they were measured, each run at its last task, and that of the best "
                            "configuration so far in the sense of the goal.");
  html += figure(
      plot_information(plotter, report),
      "What each run was to tell when it was chosen (nats), for each unit of cost: about the last task, or with a "
      "strategy that looks for the highest score about that. The unit is the cost of the first task.");
  std::string slices;
  for (int task = 0; task < report.tasks(); ++task) {
    slices +=
        figure(plot_slice(plotter, report, task), fmt::format("{} of fine-tuning.", escape(task_name(report, task))));
  }
  if (!slices.empty()) {
    html += "<h3>What the model believes</h3>\n<div class=\"panels\">\n" + slices +
            "</div>\n<p class=\"note\">Along the first weight of the curve, the other weights being those of the first "
            "of the ranking (vertical line). "
            "Filled marks: measurements whose other weights are within 0.15 of these.</p>\n";
  }
  return html.empty() ? "" : section("The search", html);
}

std::string trust_section(const SearchReport& report, Plotter& plotter) {
  if (!report.model) return "";
  Table table{.head = {"task", "observations", "R&sup2;", "within &plusmn; 2 sd"}, .rows = {}};
  const gp::Hyperparameters& h = report.model->gp().hyperparameters();
  // Under the logit warp the noise is not one number of points.
  const gp::Standardisation& units = report.model->gp().standardisation();
  if (!units.logit_warp) table.head.push_back("noise sd (points)");
  for (size_t t = 0; t < report.trust.size(); ++t) {
    const Trust& trust = report.trust[t];
    table.rows.push_back({task_name(report, static_cast<int>(t)), fmt::format("{}", trust.observations),
                          trust.r2 ? fmt::format("{:.3f}", *trust.r2) : "&ndash;",
                          trust.observations > 0 ? fmt::format("{:.0f} %", 100 * trust.coverage) : "&ndash;"});
    if (!units.logit_warp)
      table.rows.back().push_back(fmt::format("{:.2f}", 100 * std::sqrt(h.noise[t]) * units.scale[t]));
  }
  std::string lengths;
  const std::vector<std::string> names = report.model->places().lengthscale_names();
  for (size_t d = 0; d < h.lengthscales.size(); ++d)
    lengths += fmt::format("{}{} {:.3f}", d > 0 ? ", " : "", names[d], h.lengthscales[d]);
  const std::string verdict =
      report.trust.back().observations == 0
          ? ""
          : fmt::format("<p>At the last task: {}</p>\n",
                        escape(gp::calibrate(report.model->gp().leave_one_x_out(), report.model->gp().observations(),
                                             report.tasks() - 1)
                                   .verdict())) +
                (report.model->widening() > 1
                     ? fmt::format(
                           "<p>So the deviations of what it expects are shown {:.2f} times as wide as it says.</p>\n",
                           std::sqrt(report.model->widening()))
                     : "");
  return section(
      "How far to trust the model",
      "<p>Each configuration was left out in turn, with all its tasks, and foretold from the others.</p>\n" +
          table.html() + verdict +
          figure(plot_trust(plotter, report),
                 "Foretold (&plusmn; 2 sd) against observed. About 95 % of the bars should touch the line.") +
          "<h3>What it learned</h3>\n" + matrix_table(report, h.task_covariance) +
          fmt::format("<p class=\"note\">Lengthscales: {} (of inputs in 0..1; longer means less influence). The model "
                      "sees: {}.</p>\n",
                      lengths, search::name_of(report.run.space.explorer.strategy.model.inputs)));
}

std::string failures_section(const SearchReport& report) {
  std::vector<Json> failures = report.failed_finals;
  failures.insert(failures.end(), report.failures.begin(), report.failures.end());
  if (failures.empty()) return "";
  Table table{.head = {"bits", "reason", "worker", "task", "attempt", "seconds"}, .rows = {}, .text_columns = 3};
  for (const Json& line : failures) {
    if (table.rows.size() == kMostFailures) break;
    const bool final = get_string(line, "event", "journal") == "final_failed";
    const std::string task =
        final ? "final" : task_name(report, static_cast<int>(get_int(line, "task", 0, report.tasks() - 1, "journal")));
    table.rows.push_back({code(get(line, "bits", "journal").get<Bits>()), escape(get_string(line, "reason", "journal")),
                          escape(get_string(line, "worker", "journal")), task,
                          fmt::format("{}", get_int(line, "attempt", 1, 1000, "journal")),
                          fmt::format("{:.1f}", get_number(line, "seconds", 0, 1e12, "journal"))});
  }
  return section("Failed attempts",
                 fmt::format("<p>{} attempts failed; a configuration that fails {} times is left out, a final training "
                             "that does is tried again on resume.</p>\n",
                             failures.size(), search::kAttempts) +
                     table.html());
}

Json report_json(const SearchReport& report) {
  const auto ranked_json = [&](const search::Ranked& r) -> Json {
    const search::Candidate& c = report.run.space.candidates[r.candidate];
    return {{"bits", format_bits(c.bits)},
            {"curve", c.w},
            {"accuracy", r.accuracy},
            {"accuracy_sd", r.sd},
            {"effective", r.effective},
            {"bytes", c.cost.bytes},
            {"measured", r.measured ? Json(*r.measured) : Json(nullptr)},
            {"front", r.on_front}};
  };
  Json ranking = Json::array(), evaluations = Json::array(), finals = Json::array();
  for (size_t i = 0; i < report.ranked.size() && i < kMostEmbedded / 10; ++i)
    ranking.push_back(ranked_json(report.ranked[i]));
  for (const PlannedEvaluation& p : report.plans) {
    if (!p.done || evaluations.size() >= kMostEmbedded) continue;
    const search::Candidate& c = report.run.space.candidates[p.candidate];
    evaluations.push_back({{"bits", format_bits(c.bits)},
                           {"task", p.task},
                           {"accuracies", report.run.state.explorer().known(p.candidate)},
                           {"seconds", p.seconds},
                           {"bytes", c.cost.bytes}});
  }
  for (const FinalRow& row : report.finals.rows)
    finals.push_back({{"kind", row.kind},
                      {"bits", format_bits(row.bits)},
                      {"expected", row.estimate},
                      {"expected_sd", row.sd},
                      {"validation", row.validation},
                      {"top1", row.top1},
                      {"bytes", row.cost.bytes}});
  return {{"run", report.name},
          {"fp32_validation", report.run.settings.fp32_validation},
          {"fp32_top1", report.finals.fp32_top1 ? Json(*report.finals.fp32_top1) : Json(nullptr)},
          {"finals", finals},
          {"ranking", ranking},
          {"evaluations", evaluations}};
}

}  // namespace kronbit::app
