// The first screen of a search's report: the answer, what it rests on, and the table that proves it.
#include <algorithm>
#include <cmath>

#include "apps/kronbit/progress.h"
#include "apps/kronbit/report/html.h"
#include "apps/kronbit/report/plot_parts.h"
#include "apps/kronbit/report/sections.h"

namespace kronbit::app {
namespace {

std::string points(double difference) { return fmt::format("{:+.2f} points", 100 * difference); }

std::string final_answer(const SearchReport& report, const FinalRow& best) {
  const double whole = fp32_bytes(report.run.space);
  std::string text = fmt::format(
      "{} with the bits {} takes <b>{}</b>, <b>{:.1f} %</b> of fp32, and reaches <b>{}</b> on the test split",
      escape(report.run.settings.network.net), code(best.bits), megabytes(best.cost.bytes),
      100 * best.cost.bytes / whole, percent(best.mean_top1()));
  if (report.finals.fp32_top1)
    text += fmt::format(", <b>{}</b> against fp32", points(best.mean_top1() - *report.finals.fp32_top1));
  text += ". ";
  const std::string sentence = final_verdict(report.finals, report.run.space);
  if (!sentence.empty()) text += "It " + sentence + ".";
  return text;
}

std::string expected_answer(const SearchReport& report, const Expected& best) {
  return fmt::format(
      "So far the best expected bits of {} are {}: <b>{}</b>, <b>{:.1f} %</b> of fp32, and <b>{} &plusmn; {:.2f}</b> "
      "on "
      "validation images after {} of fine-tuning. It {}. The test split has not been read yet.",
      escape(report.run.settings.network.net), code(best.bits), megabytes(best.cost.bytes),
      100 * best.cost.bytes / fp32_bytes(report.run.space), percent(best.accuracy), 200 * best.sd,
      task_name(report, report.tasks() - 1), escape(expected_verdict(best, report.rivals->uniform)));
}

/// The accuracy that was wished for, where the answer does not reach it.
std::string missed_wish(const SearchReport& report) {
  const FinalRow* champion = report.champion();
  if (!champion && !report.best) return "";
  const double accuracy = champion ? champion->mean_validation() : report.best->accuracy;
  const std::string unmet = unmet_wish(report.run.space.goal, accuracy);
  if (unmet.empty()) return "";
  return warning(fmt::format("{} {} ({}).", champion ? "Not what was asked for:" : "Not yet what was asked for:", unmet,
                             percent(accuracy)));
}

/// Final trainings whose rows are missing, and why.
std::string missing_finals(const SearchReport& report) {
  if (report.failed_finals.empty()) return "";
  const Json& last = report.failed_finals.back();
  const int64_t count = failed_trainings(report.failed_finals);
  return warning(
      fmt::format("{} final training{} failed, the last of {}: {}. The table is without {}; the search with "
                  "<code>--resume</code> tries again.",
                  count, count == 1 ? "" : "s", code(get(last, "bits", "journal").get<Bits>()),
                  escape(get_string(last, "reason", "journal")), count == 1 ? "it" : "them"));
}

std::string tile(const std::string& value, const std::string& what) {
  return fmt::format("<div><b>{}</b><span>{}</span></div>\n", value, what);
}

std::string tiles(const SearchReport& report) {
  const search::RunState& state = report.run.state;
  std::string html;
  if (const Bits bits = report.chosen(); !bits.empty()) {
    const search::Cost cost = report.run.space.cost_of(bits);
    html += tile(megabytes(cost.bytes), "packed convolutions");
    html += tile(fmt::format("{:.1f} %", 100 * cost.bytes / fp32_bytes(report.run.space)), "of fp32");
    html += tile(fmt::format("{:.2f}", cost.average_bits), "bits per weight");
    if (report.timed()) html += tile(milliseconds(cost.milliseconds), "expected for an image");
  }
  if (const FinalRow* best = report.champion()) html += tile(percent(best->mean_top1()), "test accuracy");
  if (report.finals.fp32_top1) html += tile(percent(*report.finals.fp32_top1), "fp32, test");
  html += tile(percent(report.run.settings.fp32_validation), "fp32, validation");
  html += tile(fmt::format("{}", state.evaluations()), state.exhausted()
                                                           ? std::string("evaluations; nothing is left to evaluate")
                                                       : state.budget().evaluations > 0 ? "of " + state.budget().text()
                                                                                        : std::string("evaluations"));
  html += tile(duration_text(state.seconds()), "spent in them");
  return "<div class=\"facts\">\n" + html + "</div>\n";
}

/// Validation accuracy far above test accuracy: the validation images were not new to the weights.
std::string optimism(const SearchReport& report) {
  const auto images = static_cast<double>(std::max<int64_t>(report.run.settings.validation_images, 1));
  const auto test_images = static_cast<double>(std::max<int64_t>(report.finals.images, 1));
  std::string found;
  const auto check = [&](const std::string& what, double validation, double test) {
    const double sd = std::sqrt(validation * (1 - validation) / images + test * (1 - test) / test_images);
    if (validation - test <= std::max(0.02, 3 * sd)) return;
    found += fmt::format("{}{} ({} against {})", found.empty() ? "" : ", ", what, percent(validation), percent(test));
  };
  if (report.finals.fp32_top1) check("fp32", report.run.settings.fp32_validation, *report.finals.fp32_top1);
  for (const FinalRow& row : report.finals.rows) check(escape(row.kind), row.mean_validation(), row.mean_top1());
  if (found.empty()) return "";
  return warning("Validation accuracy is far above test accuracy: " + found +
                 ". The weights have probably seen the validation images in training; search again with "
                 "<code>--validation test:N</code>, or hold images out before training.");
}

}  // namespace

std::string answer_section(const SearchReport& report) {
  std::string html = fmt::format("<h1>kronbit search &middot; {} &middot; {}</h1>\n", escape(report.name),
                                 escape(report.run.settings.data.data));
  const FinalRow* champion = report.champion();
  const std::string answer =
      champion ? final_answer(report, *champion)
      : report.best
          ? expected_answer(report, *report.best)
          : "No answer yet: " +
                escape(report.model_problem.empty() ? "nothing is within the limits" : report.model_problem) + ".";
  html += "<p class=\"answer\">" + answer + "</p>\n" + missed_wish(report) + missing_finals(report) + tiles(report) +
          optimism(report);
  if (!report.trust.empty() && report.trust.back().r2 && *report.trust.back().r2 < 0.1) {
    html +=
        warning(fmt::format("The model hardly foretells the last task (R&sup2; = {:.2f}): trust measurements, not "
                            "expectations; a larger budget would help.",
                            *report.trust.back().r2));
  }
  return "<header>\n" + html + "</header>\n";
}

std::string finals_section(const SearchReport& report) {
  if (report.finals.rows.empty()) return "";
  Table table{.head = {"", "configuration", "expected", "mean top-1", "sd", "delta", "validation", "# bits", "memory",
                       "% of fp32"},
              .rows = {},
              .text_columns = 2};
  if (report.timed()) table.head.push_back("time");
  const double whole = fp32_bytes(report.run.space);
  if (report.finals.fp32_top1) {
    table.rows.push_back({"fp32", "32-bit float", "", percent(*report.finals.fp32_top1), "", "",
                          percent(report.run.settings.fp32_validation), "", megabytes(whole), "100"});
    if (report.timed()) table.rows.back().emplace_back();
  }
  for (const FinalRow& row : report.finals.rows) {
    int total = 0;
    for (int b : row.bits) total += b;
    table.rows.push_back(
        {escape(row.kind) + (&row == report.champion() ? " &#9733;" : ""), code(row.bits),
         fmt::format("{} &plusmn; {:.2f}", percent(row.estimate), 100 * row.sd), percent(row.mean_top1()),
         row.top1.size() > 1 ? fmt::format("{:.2f}", 100 * row.sd_top1()) : "&ndash;",
         fmt::format("{:+.2f}", 100 * (row.mean_top1() - row.estimate)), percent(row.mean_validation()),
         fmt::format("{}", total), megabytes(row.cost.bytes), fmt::format("{:.2f}", 100 * row.cost.bytes / whole)});
    if (report.timed()) table.rows.back().push_back(milliseconds(row.cost.milliseconds));
  }
  return section(
      "What the test split says",
      table.html() +
          fmt::format("<p class=\"note\">Each configuration was fine-tuned and then read the {} test images once. "
                      "expected &plusmn; sd is what the model said before, on validation images; "
                      "delta = mean top-1 &minus; expected; sd is between {} training seeds. "
                      "measured: the best that the search itself trained, where it is not among the first of the "
                      "ranking; uniform and reversed have about the size of the first. "
                      "&#9733; is in <code>best/</code>.</p>\n",
                      report.finals.images, report.finals.rows[0].top1.size()));
}

}  // namespace kronbit::app
