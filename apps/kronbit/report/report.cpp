#include "apps/kronbit/report/report.h"

#include "apps/kronbit/progress.h"
#include "apps/kronbit/report/html.h"
#include "apps/kronbit/report/sections.h"
#include "apps/kronbit/search/search_options.h"
#include "search/journal.h"
#include "tensor/io/file.h"
#include "tensor/io/text.h"

namespace kronbit::app {
namespace {

std::string search_body(const SearchReport& report, Plotter& plotter) {
  return answer_section(report) + price_section(report, plotter, Price::Size) +
         price_section(report, plotter, Price::Time) + bits_section(report, plotter) + finals_section(report) +
         ranking_section(report) + why_section(report) + search_section(report, plotter) +
         trust_section(report, plotter) + failures_section(report) +
         settings_section(report.run.lines, command_of_run(report.run.lines, report.name));
}

}  // namespace

void write_report(const std::filesystem::path& run) {
  const search::JournalContent content = search::read_journal(run);
  if (content.lines.empty()) input_error(run.string(), "wanted the folder of a run, found no journal in it");
  const std::string name = folder_name(run);
  Plotter plotter;
  std::string body;
  Json data;
  if (has(get_object(content.lines[0], "settings", "journal"), "curve")) {
    const SearchReport report = read_search_report(run);
    body = search_body(report, plotter);
    data = report_json(report);
  } else {
    body = training_body(name, content.lines, plotter);
    data = {{"run", name}, {"lines", content.lines}};
  }
  if (!plotter.problem().empty()) {
    tell("report: no plots: {}\n", printable(plotter.problem()));
    body += warning("Plots are missing: " + escape(plotter.problem()) + ".");
  }
  publish(run / "report.html", page("kronbit: " + name, body, data));
}

}  // namespace kronbit::app
