// The pictures of a report. Each returns an <svg> element, or "" when there is nothing to draw or no gnuplot.
#pragma once

#include <string>
#include <vector>

#include "apps/kronbit/report/data.h"
#include "apps/kronbit/report/gnuplot.h"

namespace kronbit::app {

/// What a configuration costs: bytes, or milliseconds for an image where the run has a profile.
enum class Price { Size, Time };

/// Some points of the Pareto front, marked a, b, c in the picture.
std::vector<search::Ranked> marked_front(const SearchReport& report, Price price);

/// Accuracy against a price: candidates, measurements, front, uniform networks, finals. enlarged: only the upper end.
std::string plot_prices(Plotter& plotter, const SearchReport& report, Price price, bool enlarged);
/// Whether the upper end is too crowded in the whole picture.
bool needs_enlarging(const SearchReport& report);
/// Bits of every layer as bars, and the curve that drew them.
std::string plot_bits(Plotter& plotter, const SearchReport& report);
/// What the model expects of a task along the first weight of the curve, the others being those of the best.
std::string plot_slice(Plotter& plotter, const SearchReport& report, int task);
/// Information per cost of the planned runs.
std::string plot_information(Plotter& plotter, const SearchReport& report);
/// Accuracies over the time spent, and the best so far.
std::string plot_progress(Plotter& plotter, const SearchReport& report);
/// Foretold against observed accuracies.
std::string plot_trust(Plotter& plotter, const SearchReport& report);

}  // namespace kronbit::app
