// The parts of a report page; report.cpp puts them together.
#pragma once

#include <string>

#include "apps/kronbit/report/data.h"
#include "apps/kronbit/report/html.h"
#include "apps/kronbit/report/plots.h"
#include "search/journal.h"

namespace kronbit::app {

/// Bits as a page shows them.
inline std::string code(const Bits& bits) { return "<code>" + escape(format_bits(bits)) + "</code>"; }

// Of a search.
std::string answer_section(const SearchReport& report);  ///< the sentence, the numbers, the warnings
std::string finals_section(const SearchReport& report);
std::string bits_section(const SearchReport& report, Plotter& plotter);
std::string price_section(const SearchReport& report, Plotter& plotter, Price price);
std::string ranking_section(const SearchReport& report);
std::string why_section(const SearchReport& report);                       ///< the measurements behind the chosen bits
std::string search_section(const SearchReport& report, Plotter& plotter);  ///< progress, information, slices
std::string trust_section(const SearchReport& report, Plotter& plotter);
std::string failures_section(const SearchReport& report);
/// Settings, what made the run, and where a command is given, that to make it again. lines: of the journal.
std::string settings_section(const std::vector<Json>& lines, const std::string& command);
/// What is shown, as JSON for other programs.
Json report_json(const SearchReport& report);

/// The body of the page of a training, from the lines of its journal.
std::string training_body(const std::string& name, const std::vector<Json>& lines, Plotter& plotter);

}  // namespace kronbit::app
