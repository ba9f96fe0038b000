// kronbit sensitivity: which layers mind few bits, without training: one layer at a time down, or all but one.
#include "apps/kronbit/report/sensitivity.h"
#include "apps/kronbit/options/common.h"
#include "apps/kronbit/options/pictures.h"
#include "apps/kronbit/progress.h"
#include "apps/kronbit/report/html.h"
#include "apps/kronbit/search/rule_options.h"
#include "nn/state_dict.h"
#include "nn/train.h"
#include "quant/size.h"
#include "tensor/io/file.h"
#include "tensor/io/parse.h"
#include "tensor/io/safetensors.h"

namespace kronbit::app {
namespace {

struct Options {
  NetworkOptions network;
  DataOptions data;
  BitsOptions quantizer;  ///< mode and block
  std::string bits = "2,4", images, probe = "200", precision = "auto", out, plot;
  std::vector<std::string> allocate;
  RuleOptions rules;
  bool all_but_one = false, csv = false;
};

/// "3.5bits": mean over the weights; "150KB": size of the packed convolutions.
search::Limits parse_target(const std::string& text) {
  if (text.ends_with("bits"))
    return {.max_average_bits = parse_number(text.substr(0, text.size() - 4), kMinBits, kMaxBits, "--allocate")};
  const int64_t bytes = parse_bytes(text, "--allocate");
  if (bytes == 0) input_error("--allocate", "wanted a size above 0, got {}", text);
  return {.max_bytes = static_cast<double>(bytes)};
}

std::optional<search::Allocation> largest_uniform(const search::AllocationProblem& problem) {
  for (int b = kMaxBits; b >= kMinBits; --b) {
    const Bits bits(problem.errors.size(), b);
    const search::Cost cost = problem.cost(bits);
    if (problem.limits.allow(cost)) return search::Allocation{bits, search::log_error(problem.errors, bits), cost};
  }
  return std::nullopt;
}

search::AllocationProblem problem_of(const Options& options, const std::vector<nn::ConvInfo>& layers,
                                     search::ErrorTable errors, const search::Limits& limits) {
  return {.errors = std::move(errors),
          .cost = packed_cost(layers, assign_options(options.quantizer).block),
          .rules = rules_of(options.rules, layers),
          .limits = limits};
}

/// Accuracies of networks with some layers quantized.
class Measurement {
 public:
  Measurement(const Frame& frame, const Options& options, nn::Network& net, const data::Dataset& images,
              const data::Normalization& normalization, int64_t evaluations)
      : net_(net),
        images_(images),
        normalization_(normalization),
        assign_(assign_options(options.quantizer)),
        precision_(parse_precision(options.precision)),
        total_(evaluations * images.size()),
        progress_(frame, "accuracies", "images") {}
  /// 0 bits: floating point.
  double accuracy(const Bits& bits_or_zero) {
    quant::assign_some_bits(net_, bits_or_zero, assign_);
    const auto show = [&](int64_t done, int64_t) { progress_.update(done_ + done, total_); };
    const double top1 = nn::evaluate(net_, images_, normalization_, 250, show, &stop_requested, precision_).top1;
    done_ += images_.size();
    return top1;
  }

 private:
  nn::Network& net_;
  const data::Dataset& images_;
  const data::Normalization& normalization_;
  quant::AssignOptions assign_;
  DType precision_;
  int64_t done_ = 0, total_;
  Progress progress_;
};

std::vector<int> levels_of(const Options& options) {
  std::vector<int> levels;
  for (const int64_t b : parse_ints(options.bits, kMinBits, kMaxBits, "--bits")) {
    if (std::find(levels.begin(), levels.end(), b) != levels.end())
      input_error("--bits", "wanted every number once, got {}", options.bits);
    levels.push_back(static_cast<int>(b));
  }
  return levels;
}

void measure_accuracies(const Frame& frame, const Options& options, nn::Network& net, const data::Dataset& images,
                        const data::Normalization& normalization, SensitivityReport& report) {
  const std::vector<int> levels = levels_of(options);
  const size_t n = report.layers.size();
  const int64_t per_level = std::ssize(report.layers) * (options.all_but_one ? 2 : 1) + (options.all_but_one ? 1 : 0);
  Measurement measurement(frame, options, net, images, normalization, 1 + std::ssize(levels) * per_level);
  report.images = images.size();
  report.fp32 = measurement.accuracy(Bits(n, 0));
  for (const int b : levels) {
    LayerAccuracies level{.bits = b, .alone = {}};
    for (size_t l = 0; l < n; ++l) {
      Bits bits(n, 0);
      bits[l] = b;
      level.alone.push_back(measurement.accuracy(bits));
    }
    if (options.all_but_one) level.all = measurement.accuracy(Bits(n, b));
    for (size_t l = 0; l < n && options.all_but_one; ++l) {
      Bits bits(n, b);
      bits[l] = 0;
      level.all_but_one.push_back(measurement.accuracy(bits));
    }
    report.levels.push_back(std::move(level));
  }
}

int64_t probe_images(const Options& options) { return parse_int(options.probe, 1, INT64_MAX, "--probe"); }

quant::Sensitivity measure_table(const Frame& frame, const Options& options, const nn::Network& net,
                                 const data::Dataset& probe, const data::Normalization& normalization) {
  Progress progress(frame, "logits", "passes");
  quant::SensitivityOptions how{.assign = assign_options(options.quantizer),
                                .precision = parse_precision(options.precision)};
  how.progress = [&](int64_t done, int64_t total) { progress.update(done, total); };
  how.stop = &stop_requested;
  return quant::measure_sensitivity(net, probe, normalization, how);
}

void write_files(const Options& options, const SensitivityReport& report) {
  if (!options.out.empty()) publish(options.out, dump_pretty(to_json(report)));
  if (options.plot.empty()) return;
  std::string problem;
  const std::string svg = picture_of(report, problem);
  if (svg.empty()) {
    tell("no picture: {}\n", problem);
  } else {
    publish(options.plot, standalone(svg));
  }
}

int run(const Frame& frame, const Options& options) {
  stop_gently();
  // Mistakes of the command line first, then those of the weights; the data is read last.
  std::vector<search::Limits> targets;
  for (const std::string& text : options.allocate) targets.push_back(parse_target(text));
  check_output(options.out, "--out", {options.network.weights});
  check_output(options.plot, "--plot", {options.network.weights, options.out});
  levels_of(options);
  assign_options(options.quantizer);
  parse_precision(options.precision);
  probe_images(options);
  const int64_t limit = options.images.empty() ? INT64_MAX : parse_int(options.images, 1, INT64_MAX, "--images");
  const std::vector<nn::ConvInfo> layers = nn::conv_layers(load_network(options.network).net);
  rules_of(options.rules, layers);
  for (const search::Limits& target : targets)  // whether anything fits does not depend on the errors
    search::allocate(
        problem_of(options, layers, search::ErrorTable(layers.size(), std::vector<double>(kMaxBits)), target));
  const data::Splits splits = open_data(options.data, options.network);
  LoadedNetwork loaded = load_network(options.network);
  nn::Network& net = loaded.net;
  check_classes(options.network.weights, net.classes(), loaded.info.class_names, splits, Classes::Enough);

  const data::Dataset images = splits.validation.spread(limit), probe = splits.train.spread(probe_images(options));
  check_pictures(options.data, {probe, images});

  SensitivityReport report;
  report.layers = nn::conv_layers(net);
  report.table = measure_table(frame, options, net, probe, splits.normalization);
  measure_accuracies(frame, options, net, images, splits.normalization, report);
  report.rank_bits = report.levels.front().bits;
  for (size_t i = 0; i < targets.size(); ++i) {
    const search::AllocationProblem problem = problem_of(options, report.layers, report.table.mse, targets[i]);
    report.allocations.push_back({options.allocate[i], search::allocate(problem), largest_uniform(problem)});
  }
  if (frame.json) {
    print_json(to_json(report));
  } else if (options.csv) {
    const std::string text = csv_of(report);
    std::fwrite(text.data(), 1, text.size(), stdout);
  } else {
    print_report(report);
  }
  write_files(options, report);
  return 0;
}

}  // namespace

void add_sensitivity(CLI::App& app, Frame& frame) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      add_command(app, frame, "sensitivity", "which layers mind few bits: one layer at a time, no training",
                  "Examples:\n  kronbit sensitivity --net resnet20 --weights w.safetensors --data cifar10:DIR "
                  "--validation test:5000\n"
                  "  kronbit sensitivity ... --bits 2 --all-but-one --images 1000 --out table.json --plot table.svg\n"
                  "  kronbit sensitivity ... --allocate 3.5bits --allocate 100KB --fix conv1=8\n"
                  "Errors of single layers nearly add up, so the table alone gives good bit lists (--allocate); what "
                  "they are worth "
                  "is\nfor kronbit eval --bits and kronbit search --try to say.",
                  [&frame, options] { return run(frame, *options); });
  add_network_options(command, options->network, true);
  add_data_options(command, options->data);
  command->add_option("--bits", options->bits, "bits at which accuracies are measured");
  command->add_option("--mode", options->quantizer.mode, "weight quantizer: signed-extreme or paper-floor");
  command->add_option("--block", options->quantizer.block, "channels that share a multiplier or exponent");
  command->add_flag("--all-but-one", options->all_but_one,
                    "also all layers quantized but one: what a layer gives back when it is spared");
  command->add_option("--images", options->images, "validation images for accuracies (default: all)");
  command->add_option("--probe", options->probe, "training images for the change of the logits, spread evenly");
  command->add_option("--allocate", options->allocate,
                      "also the bits that the table suggests within 3.5bits per weight, or 150KB (repeatable)");
  add_rule_options(command, options->rules);
  command->add_flag("--csv", options->csv, "comma-separated values: every layer at 1..8 bits")->excludes("--json");
  command->add_option("--out", options->out, "FILE.json: keep everything that was measured");
  command->add_option("--plot", options->plot, "FILE.svg: heat map of the errors");
  add_precision_option(command, options->precision);
}

}  // namespace kronbit::app
