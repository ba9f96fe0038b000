// Table 4 of the paper: ResNet18 and ResNet50 on ImageNet, fine-tuned with Adam at 1e-5. Sizes of every row by every
// rule; accuracies on the pictures there are: a folder: data set with the 224x224 networks, else ImageNet32 with the
// 32x32 ResNet18.
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

/// A row of the paper: its bits and what they weigh in the paper's network.
struct SizeRow {
  const ImageNetRow* paper;
  Bits bits;
  Sizes sizes;
};

/// A network that rows are measured on.
struct Measured {
  Subject subject;
  bool given = false;  ///< weights by --weights-dir
  std::optional<Training> training = {};
  std::vector<const ImageNetRow*> paper = {};
  std::vector<Row> rows = {};  ///< one per paper row
  std::vector<Sizes> sizes = {};
};

bool has_pictures(const Settings& settings) { return settings.data.starts_with("folder:"); }

std::vector<SizeRow> size_rows() {
  std::vector<SizeRow> rows;
  for (const ImageNetRow& paper : table4()) {
    const std::vector<nn::ConvInfo> layers = nn::conv_layers(nn::build(paper.net));
    const Bits bits = bits_of(paper.bits, layers);
    rows.push_back({&paper, bits, sizes_of(layers, bits)});
  }
  return rows;
}

/// Which networks the accuracies are measured on. A 224x224 network of the table stands for its 32x32 relative.
std::vector<Measured> subjects(const Settings& settings) {
  std::vector<Measured> list;
  for (const char* name : {"resnet18_imagenet", "resnet50_imagenet"}) {
    const std::string net = has_pictures(settings) ? name : "resnet18";
    if (!has_pictures(settings) && name != std::string("resnet18_imagenet")) continue;
    if (!settings.wants(net) && !settings.wants(name)) continue;
    Measured measured{{net, has_pictures(settings) ? settings.data : settings.imagenet32}};
    const std::vector<nn::ConvInfo> layers = nn::conv_layers(nn::build(net));
    for (const ImageNetRow& paper : table4()) {
      if (paper.net != name) continue;
      const Bits bits = bits_of(paper.bits, layers);
      Row row{.bits = bits, .tuning = {"--optimiser", "adam", "--lr", "0.00001"}, .tuning_name = "adam"};
      if (has_pictures(settings)) row.tuning.insert(row.tuning.end(), {"--batch", "32"});
      measured.paper.push_back(&paper);
      measured.rows.push_back(std::move(row));
      measured.sizes.push_back(sizes_of(layers, bits));
    }
    list.push_back(std::move(measured));
  }
  return list;
}

/// Weights that somebody else trained: only tested.
std::optional<Training> open_given(Experiment& experiment, const Subject& subject, const std::filesystem::path& file) {
  if (!std::filesystem::is_regular_file(file))
    input_error("--weights-dir", "wanted {}, got nothing there", file.string());
  Training training;
  training.weights = file.string();
  bool tested = true;
  for (const char* split : {"val", "test"}) {
    const std::string place = fmt::format("{}/given/{}", subject.place(), split);
    const auto result = experiment.step(
        place, {"eval", "--net", subject.net, "--data", subject.data, "--weights", file.string(), "--split", split});
    tested = tested && result;
    if (!result) continue;
    (split == std::string("val") ? training.validation : training.test) =
        get_number(result->answer, "top1", 0, 1, place);
    training.command = result->command;
    training.seconds += result->seconds;
  }
  return tested ? std::optional(training) : std::nullopt;
}

void run_subject(Experiment& experiment, Measured& measured) {
  const Settings& settings = experiment.settings();
  measured.given = !settings.weights.empty();
  measured.training = measured.given ? open_given(experiment, measured.subject,
                                                  settings.weights / (measured.subject.net + ".safetensors"))
                                     : train(experiment, measured.subject);
  if (!measured.training) return;
  const Scale scale = scale_of(settings, measured.subject.net, measured.subject.data);
  for (int64_t seed = 1; seed <= scale.seeds; ++seed)
    for (Row& row : measured.rows) measure(experiment, measured.subject, *measured.training, seed, seed, row);
}

/// What the numbers are not.
std::string limits_text(const Settings& settings, const std::vector<Measured>& all) {
  std::string text;
  if (has_pictures(settings)) {
    text +=
        "- The test split is the folder's val/, the training split its train/; the paper's numbers are for the "
        "1000 classes of ImageNet, these for whatever the folder holds.\n";
  } else {
    text += fmt::format(
        "- Nothing is measured at 224x224: that needs pictures (`--data folder:DIR`, DIR/train/CLASS/*, "
        "DIR/val/CLASS/*) "
        "and, for the paper's starting point, trained weights (`--weights-dir DIR`). The accuracies below are those of "
        "the 32x32 ResNet18 with the same 20 bit widths on {}.\n"
        "- ResNet50 has no 32x32 network, so its three rows have sizes only.\n",
        settings.imagenet32.substr(0, settings.imagenet32.find(':')));
  }
  const bool trained_here = std::any_of(all.begin(), all.end(), [](const Measured& m) { return !m.given; });
  if (trained_here)
    text += "- The floating point weights were trained here, for far fewer epochs than the published ones.\n";
  text += "- HAQ's row (12.14 MB) cannot be weighed: its bits are not printed.\n";
  return text;
}

std::string sizes_text(const std::vector<SizeRow>& rows) {
  std::vector<std::vector<std::string>> cells = {{"method", "net", "bits", "paper prints", "rule paper", "rule payload",
                                                  "rule packed", "paper, MiB", "payload, MiB", "packed, MiB"}};
  for (const SizeRow& row : rows) {
    cells.push_back(
        {row.paper->method, row.paper->net, "`" + row.paper->bits + "`", fmt::format("{} MB", row.paper->megabytes)});
    for (double unit : {1e6, kMebibyte})
      for (int64_t bytes : {row.sizes.paper, row.sizes.payload, row.sizes.packed})
        cells.back().push_back(fmt::format("{:.2f}", static_cast<double>(bytes) / unit));
  }
  return "## Sizes\n\nOf the convolutions, in MB (10^6 bytes) and MiB (2^20). paper: P b / 8 + P / 16; payload: P b / "
         "8; "
         "packed: the bytes in our own file. No rule gives the printed column, in either unit. The printed steps from "
         "4 "
         "to 3 bits (1.33 and 2.80) are P / 8 in MiB, so the unit is the MiB of Table 3; what is printed beyond P b / "
         "8 "
         "(0.56 of the uniform ResNet18, 3.36 of the uniform ResNet50) follows from nothing the paper says.\n\n" +
         markdown_table(cells) + "\n";
}

std::optional<double> loss_of(const Measured& measured, const Row& row) {
  if (!measured.training || row.top1.empty()) return std::nullopt;
  return measured.training->test - row.mean();
}

std::string accuracy_text(const Measured& m) {
  std::vector<std::vector<std::string>> cells = {
      {"method", "bits", "before", "top-1", "seeds", "loss", "paper: loss", "MB (paper's rule)", "MB packed"}};
  cells.push_back({"floating point", "32", "-", m.training ? percent_text(m.training->test) : "-",
                   m.training ? "1" : "0", "", "", "", ""});
  double seconds = 0;
  for (size_t i = 0; i < m.rows.size(); ++i) {
    const Row& row = m.rows[i];
    const std::optional<double> loss = loss_of(m, row);
    seconds += row.seconds;
    cells.push_back({m.paper[i]->method, "`" + format_bits(row.bits) + "`", percent_text(row.before),
                     row.top1.empty()       ? "-"
                     : row.top1.size() == 1 ? percent_text(row.mean())
                                            : percent_text(row.mean(), row.sd()),
                     fmt::format("{}", row.top1.size()), loss ? fmt::format("{:.2f}", 100 * *loss) : "-",
                     fmt::format("{}", m.paper[i]->loss),
                     fmt::format("{:.2f}", static_cast<double>(m.sizes[i].paper) / 1e6),
                     fmt::format("{:.2f}", static_cast<double>(m.sizes[i].packed) / 1e6)});
  }
  std::string text =
      fmt::format("## Accuracy: {}, {}\n\n", m.subject.net, m.subject.data.substr(0, m.subject.data.find(':')));
  text += fmt::format(
      "before: test top-1 without fine-tuning; top-1: after {} epochs of Adam from a learning rate of 1e-5, cosine. "
      "loss: points below the floating point network.\n\n{}\n",
      m.rows.empty() || m.rows[0].epochs == 0 ? std::string("some") : fmt::format("{}", m.rows[0].epochs),
      markdown_table(cells));
  if (m.training) text += fmt::format("    {}    # {}\n", m.training->command, app::duration_text(m.training->seconds));
  for (const Row& row : m.rows) {
    if (row.commands.empty()) continue;
    text += fmt::format("    {}    # and the other rows, {}\n", row.commands[0], app::duration_text(seconds));
    break;
  }
  return text + "\n";
}

Json json_of(const Sizes& sizes) {
  return {{"packed", sizes.packed}, {"paper", sizes.paper}, {"payload", sizes.payload}};
}

Json json_of(const Measured& m) {
  Json rows = Json::array();
  for (size_t i = 0; i < m.rows.size(); ++i) {
    Json json = to_json(m.rows[i]);
    const std::optional<double> loss = loss_of(m, m.rows[i]);
    json["method"] = m.paper[i]->method;
    json["bytes"] = json_of(m.sizes[i]);
    json["mean"] = m.rows[i].top1.empty() ? Json(nullptr) : Json(m.rows[i].mean());
    json["sd"] = m.rows[i].top1.size() < 2 ? Json(nullptr) : Json(m.rows[i].sd());
    json["loss"] = loss ? Json(*loss) : Json(nullptr);
    json["paper_loss_percent"] = m.paper[i]->loss;
    rows.push_back(json);
  }
  return {{"net", m.subject.net},
          {"data", m.subject.data.substr(0, m.subject.data.find(':'))},
          {"weights_given", m.given},
          {"fp32", m.training ? to_json(*m.training) : Json(nullptr)},
          {"rows", rows}};
}

/// Measured top-1 against size.
Results::Plot plot(const Measured& m) {
  app::Script s;
  s.line(
      "set title {} textcolor rgb '{}'\nset xlabel 'megabytes of the convolutions (paper''s rule)'\nset ylabel "
      "'test top-1 (%)'\nset key outside right center vertical\nset offsets graph 0, graph 0, graph 0.08, graph 0.08",
      app::in_quotes(m.subject.net), app::ink::kText);
  double most = 0;
  for (const Sizes& sizes : m.sizes) most = std::max(most, static_cast<double>(sizes.paper) / 1e6);
  s.line("set xrange [0:{}]", 1.1 * most);
  app::DataBlock fp32("fp32");
  if (m.training)
    for (double x : {0.0, 1.1 * most}) fp32.row({x, 100 * m.training->test});
  s.plot(fp32, fmt::format("with lines lw 1.2 dt (8,5) lc rgb '{}' title 'floating point'", app::ink::kMuted));
  app::DataBlock before("before"), paper("paper"), uniform("uniform");
  for (size_t i = 0; i < m.rows.size(); ++i) {
    const double mb = static_cast<double>(m.sizes[i].paper) / 1e6;
    if (m.rows[i].before) before.row({mb, 100 * *m.rows[i].before});
    if (!m.rows[i].top1.empty())
      (m.paper[i]->method == "paper" ? paper : uniform).row({mb, 100 * m.rows[i].mean(), 100 * m.rows[i].sd()});
  }
  s.plot(before, fmt::format("with points pt 6 ps 1 lc rgb '{}' title 'before fine-tuning'", app::ink::kMuted));
  s.plot(paper, fmt::format("with yerrorbars pt 7 ps 1 lw 1.5 lc rgb '{}' title 'paper''s row'", app::ink::series(0)));
  s.plot(uniform, fmt::format("with yerrorbars pt 5 ps 1 lw 1.5 lc rgb '{}' title 'uniform'", app::ink::series(2)));
  return {m.subject.net, m.subject.net + ": accuracy against size", s.empty() ? "" : s.text(), 640, 320};
}

Results table(Experiment& experiment) {
  const Settings& settings = experiment.settings();
  const std::vector<SizeRow> sizes = size_rows();
  const std::vector<Measured> wanted = subjects(settings);
  if (wanted.empty()) {
    input_error("--net", "wanted {}, got none of them",
                has_pictures(settings) ? "resnet18_imagenet or resnet50_imagenet" : "resnet18");
  }
  std::vector<Measured> all;
  for (Measured measured : wanted) {
    run_subject(experiment, measured);
    all.push_back(std::move(measured));
  }
  Results results;
  Json size_list = Json::array(), list = Json::array();
  results.csv = {{"table", "net", "method", "bits", "printed_mb", "bytes_paper", "bytes_payload", "bytes_packed",
                  "fp32", "before", "seed", "top1", "paper_loss"}};
  const auto bytes = [](std::vector<std::string> cells, const Sizes& s) {
    for (int64_t b : {s.paper, s.payload, s.packed}) cells.push_back(fmt::format("{}", b));
    return cells;
  };
  for (const SizeRow& row : sizes) {
    size_list.push_back({{"method", row.paper->method},
                         {"net", row.paper->net},
                         {"bits", row.bits},
                         {"text", row.paper->bits},
                         {"printed_mb", row.paper->megabytes},
                         {"bytes", json_of(row.sizes)}});
    results.csv.push_back(
        bytes({"sizes", row.paper->net, row.paper->method, row.paper->bits, fmt::format("{}", row.paper->megabytes)},
              row.sizes));
    results.csv.back().insert(results.csv.back().end(), {"", "", "", "", fmt::format("{}", row.paper->loss)});
  }
  std::string text =
      fmt::format("# Table 4: ResNets on ImageNet\n\nPreset {}, {}. What could not be measured, and why:\n\n{}\n{}",
                  settings.preset, machine_line(), limits_text(settings, all), sizes_text(sizes));
  for (const Measured& m : all) {
    text += accuracy_text(m);
    list.push_back(json_of(m));
    if (const Results::Plot picture = plot(m); !picture.script.empty()) results.plots.push_back(picture);
    for (size_t i = 0; i < m.rows.size(); ++i) {
      for (size_t seed = 0; seed < m.rows[i].top1.size(); ++seed) {
        results.csv.push_back(
            bytes({"accuracy", m.subject.net, m.paper[i]->method, format_bits(m.rows[i].bits), ""}, m.sizes[i]));
        results.csv.back().insert(
            results.csv.back().end(),
            {fmt::format("{}", m.training->test), m.rows[i].before ? fmt::format("{}", *m.rows[i].before) : "",
             fmt::format("{}", seed + 1), fmt::format("{}", m.rows[i].top1[seed]),
             fmt::format("{}", m.paper[i]->loss)});
      }
    }
  }
  results.json = {{"experiment", experiment.name()},      {"preset", settings.preset}, {"machine", machine_line()},
                  {"limits", limits_text(settings, all)}, {"sizes", size_list},        {"networks", list}};
  results.markdown = text;
  return results;
}

}  // namespace
}  // namespace kronbit::experiments

int main(int argc, char** argv) {
  using namespace kronbit::experiments;
  return run_experiment(argc, argv, "table4", "Table 4 of the paper: ResNet18 and ResNet50 on ImageNet, Adam at 1e-5",
                        table);
}
