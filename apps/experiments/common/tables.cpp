#include "apps/experiments/common/tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "apps/kronbit/progress.h"
#include "apps/kronbit/report/plot_parts.h"
#include "nn/models/models.h"

namespace kronbit::experiments {
namespace {

struct TableRow {
  std::string origin, label, note;
  Row row;
  Sizes sizes;
  std::optional<app::Expected> expected = {};
  const PaperRow* paper = nullptr;
};

struct NetworkResult {
  const PaperNetwork* paper = nullptr;
  Subject subject;
  std::optional<Training> training = {};
  std::optional<Search> search = {};
  std::vector<TableRow> rows = {}, text_mode = {};
  int64_t seeds = 0;
};

bool is_uniform(const Bits& bits) {
  return std::all_of(bits.begin(), bits.end(), [&](int b) { return b == bits[0]; });
}

/// The paper's rows, and where it has none the uniform network of the size nearest to each found one.
std::vector<TableRow> rows_to_compare(const TableSpec& spec, const PaperNetwork& network) {
  const std::vector<nn::ConvInfo> layers = nn::conv_layers(nn::build(network.net));
  std::vector<TableRow> rows;
  for (size_t i = 0; i < network.rows.size(); ++i) {
    const PaperRow& paper = network.rows[i];
    const Bits bits = bits_of(paper.bits, layers);
    const bool found = std::find(spec.found_rows.begin(), spec.found_rows.end(), i) != spec.found_rows.end();
    const char* what = is_uniform(bits) ? ", uniform" : found ? "" : ", reversed";
    rows.push_back(
        {"paper", fmt::format("paper {}{}", i + 1, what), paper.note, Row{.bits = bits}, sizes_of(layers, bits)});
    rows.back().paper = &paper;
  }
  const auto cost = [&](const Bits& bits) {
    search::Cost c;
    c.bytes = static_cast<double>(sizes_of(layers, bits).packed);
    return c;
  };
  for (size_t i : spec.found_rows) {
    const Bits bits = search::nearest_uniform(std::ssize(layers), static_cast<double>(rows[i].sizes.packed), cost);
    if (std::any_of(rows.begin(), rows.end(), [&](const TableRow& row) { return row.row.bits == bits; })) continue;
    rows.push_back(
        {"uniform", fmt::format("uniform near paper {}", i + 1), "", Row{.bits = bits}, sizes_of(layers, bits)});
  }
  return rows;
}

/// What the search expects of every row; and ours at the sizes of the paper's found ones: the best of the search, and
/// bits allocated by the errors of single layers.
void add_ours(Experiment& experiment, const TableSpec& spec, NetworkResult& result) {
  const std::vector<nn::ConvInfo> layers = nn::conv_layers(nn::build(result.subject.net));
  const auto add = [&](const std::string& origin, size_t found, const Bits& bits) {
    result.rows.push_back({origin, fmt::format("{}, size of paper {}", origin, found + 1), "", Row{.bits = bits},
                           sizes_of(layers, bits)});
  };
  std::vector<int64_t> sizes;
  for (size_t i : spec.found_rows) {
    sizes.push_back(result.rows[i].sizes.packed);
    const auto best = result.search->best_within(static_cast<double>(sizes.back()));
    if (best) add("ours", i, best->bits);
  }
  const std::vector<Bits> allocated = allocate(experiment, result.subject, *result.training, sizes);
  for (size_t k = 0; k < allocated.size(); ++k) add("allocated", spec.found_rows[k], allocated[k]);
  for (TableRow& row : result.rows) row.expected = result.search->expect(row.row.bits);
}

void run_network(Experiment& experiment, const TableSpec& spec, NetworkResult& result) {
  const Scale scale = scale_of(experiment.settings(), result.subject.net, result.subject.data);
  result.seeds = scale.seeds;
  result.training = train(experiment, result.subject);
  result.rows = rows_to_compare(spec, *result.paper);
  if (!result.training) return;
  const auto run_row = [&](TableRow& row, int64_t seed) {
    if (std::ssize(row.row.top1) < seed) measure(experiment, result.subject, *result.training, seed, seed, row.row);
  };
  // An interrupted table is wide, not deep: the paper's first row, its reverse and the uniform ones before the hours of
  // a search, and every row once before any row twice.
  for (size_t i = 0; i < result.rows.size(); ++i)
    if (i < 2 || is_uniform(result.rows[i].row.bits)) run_row(result.rows[i], 1);
  result.search = search(experiment, result.subject, spec.curve);
  if (result.search) add_ours(experiment, spec, result);
  for (int64_t seed = 1; seed <= scale.seeds; ++seed) {
    for (TableRow& row : result.rows) run_row(row, seed);
    const auto& nets = spec.text_mode_nets;
    if (seed > 1 || std::find(nets.begin(), nets.end(), result.subject.net) == nets.end()) continue;
    for (size_t i : spec.text_mode_rows) {
      TableRow row = result.rows[i];
      row.row = Row{.bits = row.row.bits, .mode = "paper-floor"};
      row.expected.reset();  // the search used the other quantizer
      measure(experiment, result.subject, *result.training, 1, 1, row.row);
      result.text_mode.push_back(std::move(row));
    }
  }
}

Json json_of(const TableRow& row) {
  Json json = to_json(row.row);
  json["origin"] = row.origin;
  json["label"] = row.label;
  json["note"] = row.note;
  json["total_bits"] = row.sizes.total_bits;
  json["bytes"] = {{"packed", row.sizes.packed}, {"paper", row.sizes.paper}, {"payload", row.sizes.payload}};
  json["percent_of_fp32"] = 25.0 * static_cast<double>(row.sizes.payload) / static_cast<double>(row.sizes.weights);
  json["estimate"] = row.expected ? Json(row.expected->accuracy) : Json(nullptr);
  json["estimate_sd"] = row.expected ? Json(row.expected->sd) : Json(nullptr);
  json["on_curve"] = row.expected ? Json(row.expected->is_candidate) : Json(nullptr);
  json["mean"] = row.row.top1.empty() ? Json(nullptr) : Json(row.row.mean());
  json["sd"] = row.row.top1.size() < 2 ? Json(nullptr) : Json(row.row.sd());
  if (!row.paper) return json;
  const auto number = [](const auto& value) { return value ? Json(*value) : Json(nullptr); };
  json["paper"] = {{"bits", row.paper->bits},
                   {"estimate", number(row.paper->estimate)},
                   {"top1", number(row.paper->top1)},
                   {"sd", number(row.paper->sd)},
                   {"delta", number(row.paper->delta)},
                   {"total_bits", number(row.paper->total_bits)},
                   {"megabytes", number(row.paper->megabytes)},
                   {"loss", number(row.paper->loss)},
                   {"percent", number(row.paper->percent)}};
  return json;
}

std::vector<std::string> table_cells(const NetworkResult& result, const TableRow& row) {
  const auto& r = row.row;
  std::optional<double> mean, delta;
  if (!r.top1.empty()) mean = r.mean();
  if (mean && row.expected) delta = *mean - row.expected->accuracy;
  const auto paper = [&](std::optional<double> PaperRow::*field, const char* unit) {
    return row.paper && row.paper->*field ? fmt::format("{}{}", *(row.paper->*field), unit) : std::string("");
  };
  std::string printed = paper(&PaperRow::top1, " %");
  if (row.paper && row.paper->loss && result.training) printed = paper(&PaperRow::loss, " points lost");
  return {
      result.subject.net,
      row.label,
      "`" + format_bits(r.bits) + "`",
      row.expected ? percent_text(row.expected->accuracy, row.expected->sd) + (row.expected->is_candidate ? "" : " *")
                   : "-",
      percent_text(r.before),
      r.top1.size() > 1 ? percent_text(mean, r.sd()) : percent_text(mean),
      fmt::format("{}", r.top1.size()),
      mean && result.training ? fmt::format("{:+.2f}", 100 * (result.training->test - *mean)) : "-",
      delta ? fmt::format("{:+.2f}", 100 * *delta) : "-",
      fmt::format("{}", row.sizes.total_bits),
      fmt::format("{:.2f}", static_cast<double>(row.sizes.paper) / 1e6),
      fmt::format("{:.2f}", static_cast<double>(row.sizes.packed) / 1e6),
      printed,
      row.paper && row.paper->percent ? paper(&PaperRow::percent, " % of fp32") : paper(&PaperRow::megabytes, " MB")};
}

std::string markdown(const Experiment& experiment, const TableSpec& spec, const std::vector<NetworkResult>& networks) {
  std::string text = fmt::format("# {}\n\nPreset {}, {}. ", spec.title, experiment.settings().preset, machine_line());
  text +=
      "GP estimate: what the model expects on validation images after the last task of the search, with its standard "
      "deviation; * of the curve nearest to bits that no curve of the search draws. before: test top-1 of the "
      "quantized network without fine-tuning. top-1: of the test split after "
      "fine-tuning, mean and standard deviation over the seeds. allocated: the bits that the errors of single layers "
      "suggest, without a search. lost: points below our floating point network. delta: top-1 "
      "minus estimate. MB (paper's rule): P b / 8 + P / 16; packed: the convolutions' bytes in our file.\n\n";
  for (const NetworkResult& result : networks) {
    std::vector<std::vector<std::string>> rows = {{"net", "row", "bits", "GP estimate", "before", "top-1", "seeds",
                                                   "lost", "delta", "bits", "MB (paper's rule)", "MB packed",
                                                   "paper: top-1", "paper: size"}};
    rows.push_back({result.subject.net, "floating point", "32", "-", "-",
                    result.training ? percent_text(result.training->test) : "-", result.training ? "1" : "0", "", "",
                    "", "", "", result.paper->fp32 ? fmt::format("{} %", *result.paper->fp32) : "", ""});
    for (const TableRow& row : result.rows) rows.push_back(table_cells(result, row));
    for (TableRow row : result.text_mode) {
      row.label += ", paper-floor";
      rows.push_back(table_cells(result, row));
    }
    text += fmt::format("## {}\n\n{}\n", result.subject.net, markdown_table(rows));
    if (result.training)
      text += fmt::format("    {}    # {}\n", result.training->command, app::duration_text(result.training->seconds));
    if (result.search) {
      const Json search = result.search->to_json();
      text += fmt::format("    {}    # {}\n", search["command"].get<std::string>(),
                          app::duration_text(search["seconds"].get<double>()));
    }
    double seconds = 0;
    std::string example;
    for (const auto* rows_of : {&result.rows, &result.text_mode}) {
      for (const TableRow& row : *rows_of) {
        seconds += row.row.seconds;
        if (example.empty() && !row.row.commands.empty()) example = row.row.commands[0];
      }
    }
    if (!example.empty())
      text += fmt::format("    {}    # and the other rows, {}\n", example, app::duration_text(seconds));
    text += "\n";
  }
  return text;
}

std::vector<std::vector<std::string>> csv(const std::vector<NetworkResult>& networks) {
  std::vector<std::vector<std::string>> lines = {{"net", "origin", "label", "bits", "mode", "estimate", "estimate_sd",
                                                  "before", "seed", "top1", "validation", "total_bits", "bytes_packed",
                                                  "bytes_paper", "bytes_payload", "paper_top1", "paper_megabytes"}};
  const auto text = [](const std::optional<double>& value) {
    return value ? fmt::format("{}", *value) : std::string();
  };
  for (const NetworkResult& result : networks) {
    for (const auto* rows : {&result.rows, &result.text_mode}) {
      for (const TableRow& row : *rows) {
        for (size_t seed = 0; seed < std::max<size_t>(1, row.row.top1.size()); ++seed) {
          const bool has = seed < row.row.top1.size();
          lines.push_back({result.subject.net, row.origin, row.label, format_bits(row.row.bits), row.row.mode,
                           row.expected ? fmt::format("{}", row.expected->accuracy) : "",
                           row.expected ? fmt::format("{}", row.expected->sd) : "", text(row.row.before),
                           has ? fmt::format("{}", seed + 1) : "", has ? fmt::format("{}", row.row.top1[seed]) : "",
                           has ? fmt::format("{}", row.row.validation[seed]) : "",
                           fmt::format("{}", row.sizes.total_bits), fmt::format("{}", row.sizes.packed),
                           fmt::format("{}", row.sizes.paper), fmt::format("{}", row.sizes.payload),
                           row.paper ? text(row.paper->top1) : "", row.paper ? text(row.paper->megabytes) : ""});
        }
      }
    }
  }
  return lines;
}

/// Measured top-1 against size: the paper's rows, ours, uniform ones, and what the paper printed; no picture while
/// nothing is measured.
Results::Plot plot(const NetworkResult& result) {
  app::Script s;
  const bool measured =
      std::any_of(result.rows.begin(), result.rows.end(), [](const TableRow& row) { return !row.row.top1.empty(); });
  s.line(
      "set xlabel 'megabytes of the convolutions (paper''s rule)'\nset ylabel 'test top-1 (%)'\nset title {} tc rgb "
      "'{}'",
      app::in_quotes(result.subject.net), app::ink::kText);
  s.line("set key outside right center vertical");
  app::DataBlock printed("printed"), found("found"), reversed("reversed"), uniform("uniform"), ours("ours"),
      allocated("allocated"), fp32("fp32");
  double most = 0;
  for (const TableRow& row : result.rows) {
    const double mb = static_cast<double>(row.sizes.paper) / 1e6;
    most = std::max(most, mb);
    if (row.paper && row.paper->top1) printed.row({row.paper->megabytes.value_or(mb), *row.paper->top1});
    if (row.row.top1.empty()) continue;
    const bool is_reversed = row.label.find("reversed") != std::string::npos;
    (row.origin == "ours"        ? ours
     : row.origin == "allocated" ? allocated
     : is_uniform(row.row.bits)  ? uniform
     : is_reversed               ? reversed
                                 : found)
        .row({mb, 100 * row.row.mean(), 100 * row.row.sd()});
  }
  if (result.training)
    for (double x : {0.0, 1.05 * most}) fp32.row({x, 100 * result.training->test});
  s.line("set xrange [0:{}]", 1.05 * most);
  s.plot(fp32, fmt::format("with lines lw 1.2 dt (8,5) lc rgb '{}' title 'floating point'", app::ink::kMuted));
  s.plot(printed, fmt::format("with points pt 6 ps 1 lc rgb '{}' title 'as the paper prints it'", app::ink::kMuted));
  s.plot(found, fmt::format("with yerrorbars pt 7 ps 0.9 lw 1.5 lc rgb '{}' title 'paper''s found rows'",
                            app::ink::series(0)));
  s.plot(reversed,
         fmt::format("with yerrorbars pt 11 ps 1 lw 1.5 lc rgb '{}' title 'the same reversed'", app::ink::series(1)));
  s.plot(uniform, fmt::format("with yerrorbars pt 5 ps 0.9 lw 1.5 lc rgb '{}' title 'uniform'", app::ink::series(2)));
  s.plot(ours, fmt::format("with yerrorbars pt 13 ps 1.3 lw 1.5 lc rgb '{}' title 'ours'", app::ink::series(3)));
  s.plot(allocated, fmt::format("with yerrorbars pt 9 ps 1.1 lw 1.5 lc rgb '{}' title 'by single-layer errors'",
                                app::ink::series(4)));
  return {result.subject.net, fmt::format("{}: accuracy against size", result.subject.net), measured ? s.text() : "",
          760, 380};
}

}  // namespace

Results network_table(Experiment& experiment, const TableSpec& spec) {
  std::vector<NetworkResult> networks;
  for (const PaperNetwork& paper : *spec.paper) {
    const auto& quick = spec.quick_nets;
    const bool by_default =
        experiment.settings().paper() || std::find(quick.begin(), quick.end(), paper.net) != quick.end();
    if (experiment.settings().nets.empty() ? !by_default : !experiment.settings().wants(paper.net)) continue;
    NetworkResult result{.paper = &paper, .subject = {paper.net, experiment.settings().data}};
    run_network(experiment, spec, result);
    networks.push_back(std::move(result));
  }
  if (networks.empty()) input_error("--net", "wanted a network of this table, got none of them");
  Results results;
  Json list = Json::array();
  for (const NetworkResult& result : networks) {
    Json rows = Json::array(), text_mode = Json::array();
    for (const TableRow& row : result.rows) rows.push_back(json_of(row));
    for (const TableRow& row : result.text_mode) text_mode.push_back(json_of(row));
    list.push_back({{"net", result.subject.net},
                    {"fp32", result.training ? to_json(*result.training) : Json(nullptr)},
                    {"paper_fp32", result.paper->fp32 ? Json(*result.paper->fp32) : Json(nullptr)},
                    {"search", result.search ? result.search->to_json() : Json(nullptr)},
                    {"seeds", result.seeds},
                    {"rows", rows},
                    {"text_mode", text_mode}});
    results.plots.push_back(plot(result));
  }
  results.json = {{"experiment", experiment.name()}, {"title", spec.title}, {"preset", experiment.settings().preset},
                  {"machine", machine_line()},       {"curve", spec.curve}, {"networks", list}};
  results.markdown = markdown(experiment, spec, networks);
  results.csv = csv(networks);
  return results;
}

}  // namespace kronbit::experiments
