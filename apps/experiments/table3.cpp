// Table 3 of the paper: ReLeQ's published bit lists, the paper's, and ours at the size of the paper's.
#include <fmt/format.h>

#include <algorithm>

#include "apps/experiments/common/paper.h"
#include "apps/experiments/common/runs.h"
#include "apps/kronbit/progress.h"
#include "apps/kronbit/report/plot_parts.h"
#include "nn/models/models.h"
#include "tensor/base/error.h"

namespace kronbit::experiments {
namespace {

constexpr double kMebibyte = 1 << 20;

struct Line {
  std::string method;  ///< "ReLeQ", "paper", "ours"
  Row row;
  Sizes sizes;
  std::optional<app::Expected> expected = {};
  const ComparedNetwork::Side* printed = nullptr;
};

struct Comparison {
  const ComparedNetwork* paper = nullptr;
  Subject subject;
  std::optional<Training> training = {};
  std::optional<Search> search = {};
  std::vector<Line> lines = {};
};

std::optional<double> loss_of(const Comparison& comparison, const Line& line) {
  if (!comparison.training || line.row.top1.empty()) return std::nullopt;
  return comparison.training->test - line.row.mean();
}

std::vector<Line> choose_lines(const Comparison& comparison) {
  const std::vector<nn::ConvInfo> layers = nn::conv_layers(nn::build(comparison.subject.net));
  std::vector<Line> lines;
  const auto add = [&](const std::string& method, const Bits& bits, const ComparedNetwork::Side* printed) {
    Line line{method, Row{.bits = bits}, sizes_of(layers, bits)};
    line.printed = printed;
    if (comparison.search) line.expected = comparison.search->expect(bits);
    lines.push_back(std::move(line));
  };
  for (const ComparedNetwork::Side& side : comparison.paper->sides) add(side.method, bits_of(side.bits, layers), &side);
  if (!comparison.search) return lines;
  const auto own = std::find_if(lines.begin(), lines.end(), [](const Line& line) { return line.method == "paper"; });
  if (const auto best = comparison.search->best_within(static_cast<double>(own->sizes.packed)))
    add("ours", best->bits, nullptr);
  return lines;
}

Comparison compare(Experiment& experiment, const ComparedNetwork& paper) {
  Comparison comparison{.paper = &paper, .subject = {paper.net, experiment.settings().data}};
  comparison.training = train(experiment, comparison.subject);
  if (comparison.training) comparison.search = search(experiment, comparison.subject, "bezier:1");
  comparison.lines = choose_lines(comparison);
  if (!comparison.training) return comparison;
  const Scale scale = scale_of(experiment.settings(), paper.net, comparison.subject.data);
  for (int64_t seed = 1; seed <= scale.seeds; ++seed)
    for (Line& line : comparison.lines)
      measure(experiment, comparison.subject, *comparison.training, seed, seed, line.row);
  return comparison;
}

std::vector<std::string> cells(const Comparison& comparison, const Line& line) {
  const auto mib = [](int64_t bytes) { return fmt::format("{:.2f}", static_cast<double>(bytes) / kMebibyte); };
  const auto printed = [&](double ComparedNetwork::Side::*field) {
    return line.printed ? fmt::format("{}", line.printed->*field) : std::string();
  };
  const std::optional<double> loss = loss_of(comparison, line);
  const Row& r = line.row;
  return {line.method,
          "`" + format_bits(r.bits) + "`",
          line.expected ? percent_text(line.expected->accuracy, line.expected->sd) : "-",
          percent_text(r.before),
          r.top1.empty()       ? "-"
          : r.top1.size() == 1 ? percent_text(r.mean())
                               : percent_text(r.mean(), r.sd()),
          fmt::format("{}", r.top1.size()),
          loss ? fmt::format("{:.2f}", 100 * *loss) : "-",
          printed(&ComparedNetwork::Side::loss),
          mib(line.sizes.paper),
          printed(&ComparedNetwork::Side::dsconv_mib),
          mib(line.sizes.payload),
          printed(&ComparedNetwork::Side::payload_mib)};
}

std::string markdown(const Experiment& experiment, const std::vector<Comparison>& comparisons) {
  std::string text = fmt::format("# Table 3: ReLeQ's bit lists, the paper's and ours\n\nPreset {}, {}. ",
                                 experiment.settings().preset, machine_line());
  text +=
      "ours: the best that our search expects in at most the packed bytes of the paper's row. GP estimate: on "
      "validation "
      "images after the last task of the search. before: test top-1 without fine-tuning; top-1: after it, mean and "
      "standard deviation over the seeds. loss: points below our floating point network. Sizes in MiB (2^20 bytes), "
      "which is the unit of the printed ones: DSConv is the paper's rule P b / 8 + P / 16, WRPN is P b / 8. The rules "
      "give what is printed for VGG-16 (but ReLeQ's WRPN) and the paper's own DSConv size of ResNet-20; the other "
      "printed sizes follow from no rule.\n\n";
  for (const Comparison& c : comparisons) {
    std::vector<std::vector<std::string>> rows = {{"method", "bits", "GP estimate", "before", "top-1", "seeds", "loss",
                                                   "paper: loss", "DSConv MiB", "paper: DSConv", "WRPN MiB",
                                                   "paper: WRPN"}};
    rows.push_back({"floating point", "32", "-", "-", c.training ? percent_text(c.training->test) : "-",
                    c.training ? "1" : "0", "", "", "", "", "", ""});
    for (const Line& line : c.lines) rows.push_back(cells(c, line));
    text += fmt::format("## {} (the paper's {})\n\n{}\n", c.subject.net, c.paper->printed_name, markdown_table(rows));
    for (const Line& line : c.lines)
      if (line.printed && !line.printed->note.empty())
        text += fmt::format("{}: {}.\n\n", line.method, line.printed->note);
    if (c.training) text += fmt::format("    {}\n", c.training->command);
    if (c.search) text += fmt::format("    {}\n", c.search->to_json()["command"].get<std::string>());
    double seconds = 0;
    for (const Line& line : c.lines) {
      seconds += line.row.seconds;
      if (!line.row.commands.empty()) text += fmt::format("    {}\n", line.row.commands[0]);
    }
    if (c.training) text += fmt::format("\nFine-tuning took {}.\n", app::duration_text(seconds));
    text += "\n";
  }
  return text;
}

Json json_of(const Comparison& comparison) {
  Json rows = Json::array();
  for (const Line& line : comparison.lines) {
    Json json = to_json(line.row);
    const std::optional<double> loss = loss_of(comparison, line);
    json["method"] = line.method;
    json["bytes"] = {{"packed", line.sizes.packed}, {"paper", line.sizes.paper}, {"payload", line.sizes.payload}};
    json["mebibytes"] = {{"dsconv", static_cast<double>(line.sizes.paper) / kMebibyte},
                         {"wrpn", static_cast<double>(line.sizes.payload) / kMebibyte}};
    json["total_bits"] = line.sizes.total_bits;
    json["estimate"] = line.expected ? Json(line.expected->accuracy) : Json(nullptr);
    json["estimate_sd"] = line.expected ? Json(line.expected->sd) : Json(nullptr);
    json["mean"] = line.row.top1.empty() ? Json(nullptr) : Json(line.row.mean());
    json["sd"] = line.row.top1.size() < 2 ? Json(nullptr) : Json(line.row.sd());
    json["loss"] = loss ? Json(*loss) : Json(nullptr);
    if (line.printed)
      json["paper"] = {{"bits", line.printed->bits},
                       {"loss", line.printed->loss},
                       {"dsconv_mib", line.printed->dsconv_mib},
                       {"wrpn_mib", line.printed->payload_mib}};
    rows.push_back(json);
  }
  return {{"net", comparison.subject.net},
          {"printed_name", comparison.paper->printed_name},
          {"fp32", comparison.training ? to_json(*comparison.training) : Json(nullptr)},
          {"search", comparison.search ? comparison.search->to_json() : Json(nullptr)},
          {"rows", rows}};
}

/// Measured top-1 against size, one network: who is where.
Results::Plot plot(const Comparison& comparison) {
  app::Script s;
  s.line("set title {} textcolor rgb '{}'\nset xlabel 'MiB of the convolutions (DSConv)'\nset ylabel 'test top-1 (%)'",
         app::in_quotes(comparison.subject.net), app::ink::kText);
  s.line("set key outside right center vertical\nset offsets graph 0, graph 0, graph 0.08, graph 0.08");
  double most = 0;
  for (const Line& line : comparison.lines) most = std::max(most, static_cast<double>(line.sizes.paper) / kMebibyte);
  s.line("set xrange [0:{}]", 1.1 * most);
  app::DataBlock fp32("fp32");
  if (comparison.training)
    for (double x : {0.0, 1.1 * most}) fp32.row({x, 100 * comparison.training->test});
  s.plot(fp32, fmt::format("with lines lw 1.2 dt (8,5) lc rgb '{}' title 'floating point'", app::ink::kMuted));
  constexpr int kMarks[] = {5, 7, 13};
  for (size_t i = 0; i < comparison.lines.size(); ++i) {
    const Line& line = comparison.lines[i];
    if (line.row.top1.empty()) continue;
    app::DataBlock point("row" + std::to_string(i));
    point.row({static_cast<double>(line.sizes.paper) / kMebibyte, 100 * line.row.mean(), 100 * line.row.sd()});
    s.plot(point, fmt::format("with yerrorbars pt {} ps 1.2 lw 1.5 lc rgb '{}' title {}", kMarks[i % 3],
                              app::ink::series(static_cast<int>(i)), app::in_quotes(line.method)));
  }
  return {comparison.subject.net, comparison.subject.net + ": accuracy against size", s.empty() ? "" : s.text(), 640,
          320};
}

Results table(Experiment& experiment) {
  std::vector<Comparison> comparisons;
  for (const ComparedNetwork& paper : table3())
    if (experiment.settings().wants(paper.net)) comparisons.push_back(compare(experiment, paper));
  if (comparisons.empty()) input_error("--net", "wanted a network of this table, got none of them");
  Results results;
  Json list = Json::array();
  results.csv = {{"net", "method", "bits", "estimate", "estimate_sd", "before", "seed", "top1", "validation", "fp32",
                  "bytes_paper", "bytes_payload", "bytes_packed", "paper_loss", "paper_dsconv_mib", "paper_wrpn_mib"}};
  for (const Comparison& c : comparisons) {
    list.push_back(json_of(c));
    if (const Results::Plot picture = plot(c); !picture.script.empty()) results.plots.push_back(picture);
    for (const Line& line : c.lines) {
      const auto number = [](bool there, double value) { return there ? fmt::format("{}", value) : std::string(); };
      const auto printed = [&](double ComparedNetwork::Side::*field) {
        return line.printed ? fmt::format("{}", line.printed->*field) : std::string();
      };
      for (size_t seed = 0; seed < std::max<size_t>(1, line.row.top1.size()); ++seed) {
        const bool has = seed < line.row.top1.size();
        results.csv.push_back(
            {c.subject.net, line.method, format_bits(line.row.bits),
             number(line.expected.has_value(), line.expected ? line.expected->accuracy : 0),
             number(line.expected.has_value(), line.expected ? line.expected->sd : 0),
             number(line.row.before.has_value(), line.row.before.value_or(0)), has ? fmt::format("{}", seed + 1) : "",
             number(has, has ? line.row.top1[seed] : 0), number(has, has ? line.row.validation[seed] : 0),
             number(c.training.has_value(), c.training ? c.training->test : 0), fmt::format("{}", line.sizes.paper),
             fmt::format("{}", line.sizes.payload), fmt::format("{}", line.sizes.packed),
             printed(&ComparedNetwork::Side::loss), printed(&ComparedNetwork::Side::dsconv_mib),
             printed(&ComparedNetwork::Side::payload_mib)});
      }
    }
  }
  results.json = {{"experiment", experiment.name()},
                  {"preset", experiment.settings().preset},
                  {"machine", machine_line()},
                  {"networks", list}};
  results.markdown = markdown(experiment, comparisons);
  return results;
}

}  // namespace
}  // namespace kronbit::experiments

int main(int argc, char** argv) {
  using namespace kronbit::experiments;
  return run_experiment(argc, argv, "table3", "Table 3 of the paper: ReLeQ's bit lists against the paper's and ours",
                        table);
}
