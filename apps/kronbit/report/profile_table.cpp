#include "apps/kronbit/report/profile_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "apps/kronbit/report/gnuplot.h"
#include "apps/kronbit/report/plot_parts.h"
#include "apps/kronbit/search/latency_model.h"
#include "tensor/base/error.h"
#include "tensor/cpu.h"

namespace kronbit::app {
namespace {

double median(std::vector<double> values) {
  const auto middle = values.begin() + std::ssize(values) / 2;
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Nanoseconds are all that a clock tells.
double rounded(double microseconds) { return std::round(1e3 * microseconds) / 1e3; }

std::string batch_name(const ProfileBatch& batch) {
  return batch.batch == 1 ? "single images" : fmt::format("groups of {} images", quant::Engine::kGroup);
}

}  // namespace

void ProfileTable::add(int64_t batch, const std::vector<quant::PlanTimes>& by_bits) {
  KB_CHECK_EQ(static_cast<int>(by_bits.size()), bits_max - bits_min + 1);
  ProfileBatch result{.batch = batch, .rest = 0, .cells = {layers.size(), std::vector<ProfileCell>{}}};
  std::vector<double> rests;
  for (const quant::PlanTimes& plan : by_bits) {
    KB_CHECK_EQ(plan.choices.size(), layers.size());
    rests.push_back(plan.rest);
    for (size_t l = 0; l < layers.size(); ++l) {
      KB_CHECK(plan.choices[l].layer == layers[l]);
      result.cells[l].push_back({plan.microseconds[l], plan.choices[l]});
    }
  }
  result.rest = rounded(std::max(0.0, median(rests)));
  for (std::vector<ProfileCell>& row : result.cells) {
    const bool constant =
        std::all_of(row.begin(), row.end(), [](const ProfileCell& cell) { return cell.choice.kernel == "dense"; });
    std::vector<double> times;
    for (const ProfileCell& cell : row) times.push_back(cell.microseconds);
    for (ProfileCell& cell : row) cell.microseconds = rounded(constant ? median(times) : cell.microseconds);
  }
  batches.push_back(std::move(result));
}

double ProfileTable::predict(const ProfileBatch& batch, const Bits& bits) const {
  double sum = batch.rest;
  for (size_t l = 0; l < bits.size(); ++l)
    sum += batch.cells[l].at(static_cast<size_t>(bits[l] - bits_min)).microseconds;
  return sum;
}

Json to_json(const ProfileTable& table) {
  Json batches = Json::array();
  for (const ProfileBatch& batch : table.batches) {
    Json layers = Json::array();
    for (size_t l = 0; l < table.layers.size(); ++l) {
      Json cells = Json::array();
      for (const ProfileCell& cell : batch.cells[l])
        cells.push_back({{"bits", cell.choice.bits},
                         {"microseconds", cell.microseconds},
                         {"kernel", cell.choice.kernel},
                         {"product_microseconds", rounded(cell.choice.microseconds)},
                         {"runner_up", cell.choice.runner_up},
                         {"runner_up_product_microseconds", rounded(cell.choice.runner_up_microseconds)}});
      layers.push_back({{"layer", table.layers[l]}, {"bits", cells}});
    }
    batches.push_back({{"batch", batch.batch}, {"rest_microseconds", batch.rest}, {"layers", layers}});
  }
  return {{kProfileKey, kProfileVersion},
          {"version", KRONBIT_VERSION},
          {"net", table.net},
          {"classes", table.classes},
          {"input_size", table.input_size},
          {"cpu", cpu().model},
          {"isa_level", name_of(isa_level())},
          {"threads", table.threads},
          {"exact", table.exact},
          {"kernel", table.kernel},
          {"bits_min", table.bits_min},
          {"bits_max", table.bits_max},
          {"layers", table.layers},
          {"batches", batches}};
}

std::string csv_of(const ProfileTable& table) {
  std::string text =
      "batch,layer,bits,microseconds,kernel,product_microseconds,runner_up,runner_up_product_microseconds\n";
  for (const ProfileBatch& batch : table.batches) {
    for (size_t l = 0; l < table.layers.size(); ++l)
      for (const ProfileCell& cell : batch.cells[l])
        text += fmt::format("{},{},{},{},{},{},{},{}\n", batch.batch, table.layers[l], cell.choice.bits,
                            cell.microseconds, cell.choice.kernel, rounded(cell.choice.microseconds),
                            cell.choice.runner_up, rounded(cell.choice.runner_up_microseconds));
    text += fmt::format("{},rest,,{},,,,\n", batch.batch, batch.rest);
  }
  return text;
}

std::string picture_of(const ProfileTable& table, const ProfileBatch& batch, std::string& problem) {
  constexpr int kShades = 8;
  double most = 0;
  for (const auto& row : batch.cells)
    for (const ProfileCell& cell : row) most = std::max(most, cell.microseconds);
  std::vector<DataBlock> shades;
  for (int s = 0; s < kShades; ++s) shades.emplace_back(fmt::format("shade{}", s));
  DataBlock numbers("numbers");
  std::string names;
  for (size_t l = 0; l < table.layers.size(); ++l) {
    names += fmt::format("{}{} {}", l == 0 ? "" : ", ", in_quotes(table.layers[l]), l);
    for (const ProfileCell& cell : batch.cells[l]) {
      const auto x = static_cast<double>(cell.choice.bits), y = static_cast<double>(l);
      const auto shade = static_cast<int>(kShades * cell.microseconds / most * 0.999);
      shades[static_cast<size_t>(shade)].row({x, y, 0.48, 0.46});
      numbers.row({x, y, cell.microseconds});
    }
  }
  const auto layers = static_cast<int>(table.layers.size());
  Script s;
  s.line("set title {}", in_quotes(fmt::format("{}, {}: microseconds per image, {} threads", table.net,
                                               batch_name(batch), table.threads)));
  s.line("set xlabel 'bits'\nset xrange [{}:{}]\nset xtics 1 scale 0\nset yrange [{}:-0.6]", table.bits_min - 0.55,
         table.bits_max + 0.55, layers - 0.4);
  s.line("set ytics scale 0 noenhanced ({})\nunset grid\nunset key\nset border 0", names);
  for (int shade = 0; shade < kShades; ++shade)
    s.plot(shades[static_cast<size_t>(shade)],
           fmt::format("using 1:2:3:4 with boxxyerror fs transparent solid {:.2f} noborder lc rgb '{}'",
                       0.04 + 0.09 * shade, ink::series(0)));
  s.plot(numbers, fmt::format("using 1:2:(sprintf(\"%.3g\",$3)) with labels tc rgb '{}'", ink::kText));
  Plotter plotter;
  const std::string svg =
      plotter.draw(fmt::format("profile{}", batch.batch),
                   fmt::format("time of every layer of {} at every number of bits, {}", table.net, batch_name(batch)),
                   s.text(), 240 + 64 * (table.bits_max - table.bits_min + 1), 90 + 22 * layers);
  problem = plotter.problem();
  return svg;
}

void print_table(const ProfileTable& table) {
  size_t width = 5;
  for (const std::string& layer : table.layers) width = std::max(width, layer.size());
  for (const ProfileBatch& batch : table.batches) {
    fmt::print("\n{}, microseconds per image; the kernels from {} to {} bits\n{:<{}}", batch_name(batch),
               table.bits_min, table.bits_max, "layer", width);
    for (int b = table.bits_min; b <= table.bits_max; ++b) fmt::print(" {:>8}", b);
    fmt::print("\n");
    std::vector<double> sums(static_cast<size_t>(table.bits_max - table.bits_min + 1), batch.rest);
    for (size_t l = 0; l < table.layers.size(); ++l) {
      fmt::print("{:<{}}", table.layers[l], width);
      std::string kernels, last;
      for (size_t b = 0; b < sums.size(); ++b) {
        const ProfileCell& cell = batch.cells[l][b];
        sums[b] += cell.microseconds;
        fmt::print(" {:>8.2f}", cell.microseconds);
        if (cell.choice.kernel != last) kernels += (last.empty() ? "" : ", ") + cell.choice.kernel;
        last = cell.choice.kernel;
      }
      fmt::print("  {}\n", kernels);
    }
    fmt::print("{:<{}}", "rest", width);
    for (size_t b = 0; b < sums.size(); ++b) fmt::print(" {:>8.2f}", batch.rest);
    fmt::print("\n{:<{}}", "sum", width);
    for (const double sum : sums) fmt::print(" {:>8.1f}", sum);
    fmt::print("\n");
  }
}

}  // namespace kronbit::app
