#include "apps/kronbit/report/sensitivity.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "apps/kronbit/report/gnuplot.h"
#include "apps/kronbit/report/plot_parts.h"

namespace kronbit::app {
namespace {

double at(const std::vector<std::vector<double>>& table, size_t layer, int bits) {
  return table[layer][static_cast<size_t>(bits - kMinBits)];
}

Json to_json(const search::Allocation& a) {
  return {{"bits", a.bits},
          {"text", format_bits(a.bits)},
          {"bytes", static_cast<int64_t>(a.cost.bytes)},
          {"bits_per_weight", a.cost.average_bits},
          {"log_error", a.log_error}};
}

Json layer_json(const SensitivityReport& r, size_t l, size_t rank) {
  Json alone = Json::array(), all_but_one = Json::array();
  for (const LayerAccuracies& level : r.levels) {
    alone.push_back({{"bits", level.bits}, {"accuracy", level.alone[l]}, {"drop", r.fp32 - level.alone[l]}});
    if (level.all)
      all_but_one.push_back(
          {{"bits", level.bits}, {"accuracy", level.all_but_one[l]}, {"gain", level.all_but_one[l] - *level.all}});
  }
  return {{"name", r.layers[l].name},
          {"rank", rank},
          {"weights", r.layers[l].weights()},
          {"share", r.share(l)},
          {"mse", r.table.mse[l]},
          {"kl", r.table.kl[l]},
          {"alone", alone},
          {"all_but_one", all_but_one}};
}

/// rank[l]: 1 for the most sensitive layer.
std::vector<size_t> ranks(const SensitivityReport& r) {
  const std::vector<size_t> order = r.order();
  std::vector<size_t> rank(order.size());
  for (size_t i = 0; i < order.size(); ++i) rank[order[i]] = i + 1;
  return rank;
}

std::string describe(const search::Allocation& a) {
  return fmt::format("{:.0f} bytes, {:.3f} bits per weight, ln error {:+.2f}", a.cost.bytes, a.cost.average_bits,
                     a.log_error);
}

void print_alone(const SensitivityReport& r, int width) {
  fmt::print("\none layer at a time, all others in floating point\n{:<{}} {:>9} {:>6} {:>5}", "layer", width, "weights",
             "share", "rank");
  for (const LayerAccuracies& level : r.levels)
    fmt::print("  {:>9} {:>9} {:>9}", fmt::format("drop@{}", level.bits), fmt::format("mse@{}", level.bits),
               fmt::format("kl@{}", level.bits));
  fmt::print("\n");
  const std::vector<size_t> rank = ranks(r);
  for (size_t l = 0; l < r.layers.size(); ++l) {
    fmt::print("{:<{}} {:>9} {:>5.1f}% {:>5}", r.layers[l].name, width, r.layers[l].weights(), 100 * r.share(l),
               rank[l]);
    for (const LayerAccuracies& level : r.levels)
      fmt::print("  {:>8.2f}% {:>9.3g} {:>9.3g}", 100 * (r.fp32 - level.alone[l]), at(r.table.mse, l, level.bits),
                 at(r.table.kl, l, level.bits));
    fmt::print("\n");
  }
}

void print_all_but_one(const SensitivityReport& r, int width) {
  for (const LayerAccuracies& level : r.levels) {
    if (!level.all) continue;
    fmt::print("\nall layers at {} bits: {:.2f} %; with one of them in floating point\n", level.bits, 100 * *level.all);
    for (size_t l = 0; l < r.layers.size(); ++l)
      fmt::print("{:<{}} {:>7.2f} %  {:>+6.2f}\n", r.layers[l].name, width, 100 * level.all_but_one[l],
                 100 * (level.all_but_one[l] - *level.all));
  }
}

}  // namespace

std::vector<size_t> SensitivityReport::order() const {
  std::vector<size_t> result(layers.size());
  std::iota(result.begin(), result.end(), size_t{0});
  std::stable_sort(result.begin(), result.end(),
                   [&](size_t a, size_t b) { return at(table.mse, a, rank_bits) > at(table.mse, b, rank_bits); });
  return result;
}

double SensitivityReport::share(size_t layer) const {
  double all = 0;
  for (const nn::ConvInfo& l : layers) all += static_cast<double>(l.weights());
  return static_cast<double>(layers[layer].weights()) / all;
}

Json to_json(const SensitivityReport& r) {
  Json json = quant::to_json(r.table);  // and more in it: readers of the table read this
  json["validation_images"] = r.images;
  json["fp32"] = r.fp32;
  json["rank_bits"] = r.rank_bits;
  Json layers = Json::array(), order = Json::array(), all = Json::array(), allocations = Json::array();
  const std::vector<size_t> rank = ranks(r);
  for (size_t l = 0; l < r.layers.size(); ++l) layers.push_back(layer_json(r, l, rank[l]));
  for (const size_t l : r.order()) order.push_back(r.layers[l].name);
  for (const LayerAccuracies& level : r.levels)
    if (level.all) all.push_back({{"bits", level.bits}, {"accuracy", *level.all}});
  for (const AllocationResult& a : r.allocations) {
    Json one = to_json(a.found);
    one["target"] = a.target;
    one["uniform"] = a.uniform ? to_json(*a.uniform) : Json(nullptr);
    allocations.push_back(one);
  }
  json["layers"] = layers;
  json["most_sensitive_first"] = order;
  json["all"] = all;
  json["allocations"] = allocations;
  return json;
}

std::string csv_of(const SensitivityReport& r) {
  std::string text = "rank,layer,weights,share,bits,accuracy,drop,logit_mse,kl\n";
  const std::vector<size_t> rank = ranks(r);
  for (size_t l = 0; l < r.layers.size(); ++l)
    for (int b = kMinBits; b <= kMaxBits; ++b) {
      const auto level = std::find_if(r.levels.begin(), r.levels.end(), [&](const auto& x) { return x.bits == b; });
      const std::string accuracy =
          level == r.levels.end() ? "," : fmt::format("{},{}", level->alone[l], r.fp32 - level->alone[l]);
      text += fmt::format("{},{},{},{:.6f},{},{},{},{}\n", rank[l], r.layers[l].name, r.layers[l].weights(), r.share(l),
                          b, accuracy, at(r.table.mse, l, b), at(r.table.kl, l, b));
    }
  return text;
}

std::string picture_of(const SensitivityReport& r, std::string& problem) {
  constexpr int kShades = 8;
  double least = 1e300, most = 1e-300;
  for (const std::vector<double>& row : r.table.mse)
    for (const double mse : row) {
      least = std::min(least, std::max(mse, 1e-12));
      most = std::max(most, mse);
    }
  std::vector<DataBlock> shades;
  for (int s = 0; s < kShades; ++s) shades.emplace_back(fmt::format("shade{}", s));
  DataBlock numbers("numbers");
  std::string names;
  for (size_t l = 0; l < r.layers.size(); ++l) {
    names += fmt::format("{}{} {}", l == 0 ? "" : ", ", in_quotes(r.layers[l].name), l);
    for (int b = kMinBits; b <= kMaxBits; ++b) {
      const double mse = at(r.table.mse, l, b), x = b, y = static_cast<double>(l);
      const double depth = std::log(std::max(mse, least) / least) / std::max(1e-9, std::log(most / least));
      shades[static_cast<size_t>(kShades * std::clamp(depth, 0.0, 1.0) * 0.999)].row({x, y, 0.48, 0.46});
      numbers.row({x, y, mse});
    }
  }
  const auto layers = static_cast<int>(r.layers.size());
  Script s;
  s.line("set title {}",
         in_quotes(fmt::format("{}: logit MSE with one layer quantized, {} images", r.table.network, r.table.images)));
  s.line("set xlabel 'bits of the layer'\nset xrange [0.45:8.55]\nset xtics 1 scale 0\nset yrange [{}:-0.6]",
         layers - 0.4);
  s.line("set ytics scale 0 noenhanced ({})\nunset grid\nunset key\nset border 0", names);
  for (int shade = 0; shade < kShades; ++shade)
    s.plot(shades[static_cast<size_t>(shade)],
           fmt::format("using 1:2:3:4 with boxxyerror fs transparent solid {:.2f} noborder lc rgb '{}'",
                       0.04 + 0.09 * shade, ink::series(0)));
  s.plot(numbers, fmt::format("using 1:2:(sprintf(\"%.2g\",$3)) with labels tc rgb '{}'", ink::kText));
  Plotter plotter;
  const std::string svg =
      plotter.draw("sensitivity", fmt::format("error of every layer of {} at every number of bits", r.table.network),
                   s.text(), 240 + 64 * kMaxBits, 90 + 22 * layers);
  problem = plotter.problem();
  return svg;
}

void print_report(const SensitivityReport& r) {
  size_t width = 5;
  for (const nn::ConvInfo& layer : r.layers) width = std::max(width, layer.name.size());
  fmt::print("{}  not quantized: {:.2f} % on {} validation images; logits of {} training images\n", r.table.network,
             100 * r.fp32, r.images, r.table.images);
  print_alone(r, static_cast<int>(width));
  print_all_but_one(r, static_cast<int>(width));
  std::string names;
  for (const size_t l : r.order()) names += (names.empty() ? "" : " ") + r.layers[l].name;
  fmt::print("\nmost sensitive first (logit MSE at {} bits): {}\n", r.rank_bits, names);
  for (const AllocationResult& a : r.allocations) {
    fmt::print("\n{} by this table alone: {}\n  {}\n", a.target, format_bits(a.found.bits), describe(a.found));
    if (a.uniform) fmt::print("  uniform {}: {}\n", a.uniform->bits[0], describe(*a.uniform));
    fmt::print("  try it: kronbit eval ... --bits \"{0}\", kronbit search ... --try \"{0}\"\n",
               format_bits(a.found.bits));
  }
}

}  // namespace kronbit::app
