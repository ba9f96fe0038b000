// kronbit profile: how long every layer of a network takes on this machine at every number of bits.
#include <fmt/ranges.h>

#include <chrono>

#include "apps/kronbit/options/common.h"
#include "apps/kronbit/progress.h"
#include "apps/kronbit/report/html.h"
#include "apps/kronbit/report/profile_table.h"
#include "nn/layers.h"
#include "nn/models/models.h"
#include "quant/packed.h"
#include "tensor/io/file.h"
#include "tensor/io/parse.h"
#include "tensor/parallel.h"
#include "tensor/rng.h"

namespace kronbit::app {
namespace {

constexpr int64_t kBatch = 128;
constexpr int kRounds = 5;

struct Options {
  std::string net, classes, input_size, bits_min = "1", bits_max = "8", batch = "1,128", out, seconds = "0.5";
  std::vector<std::string> checks;
  bool exact = false;
};

nn::Network build(const Options& options) {
  nn::ModelOptions model;
  if (!options.classes.empty()) model.classes = static_cast<int>(parse_int(options.classes, 1, 65536, "--classes"));
  if (!options.input_size.empty()) model.input_size = parse_int(options.input_size, 1, 4096, "--input-size");
  return nn::build(options.net, model);
}

/// The network with random weights: times do not depend on them.
quant::PackedNetwork random_network(const Options& options, const Bits& bits) {
  nn::Network net = build(options);
  net.initialize(1);
  quant::assign_bits(net, bits);
  return quant::pack(net);
}

std::vector<int64_t> batches_of(const Options& options) {
  std::vector<int64_t> batches = parse_ints(options.batch, 1, kBatch, "--batch");
  std::sort(batches.begin(), batches.end());
  batches.erase(std::unique(batches.begin(), batches.end()), batches.end());
  for (int64_t batch : batches)
    if (batch != 1 && batch != kBatch) input_error("--batch", "wanted 1, {0} or 1,{0}, got {1}", kBatch, options.batch);
  return batches;
}

quant::EngineOptions engine_of(const Frame& frame, const Options& options) {
  quant::EngineOptions engine = engine_options(frame, "", options.exact);
  engine.choices.clear();
  return engine;
}

/// A configuration that is run whole, to see how good its prediction is.
class Check {
 public:
  Check(Bits list, int64_t images, std::shared_ptr<quant::Engine> engine)
      : bits(std::move(list)),
        batch(images),
        engine_(std::move(engine)),
        x_(Tensor::activation(engine_->image_size(), engine_->image_size(), images, 3)),
        logits_(static_cast<size_t>(images * engine_->classes())) {
    Rng rng(2, Purpose::Synthetic, {1});
    for (int64_t r = 0; r < x_.rows(); ++r)
      for (int64_t c = 0; c < 3; ++c) x_.row<float>(r)[c] = static_cast<float>(rng.uniform(-2, 2));
  }
  /// As the rounds of the table: the lower quartile of the runs; the least of the rounds counts.
  void round(double seconds) {
    run();
    const auto runs = static_cast<size_t>(std::clamp(seconds / run(), 3.0, 1000.0));
    std::vector<double> times(runs);
    for (double& t : times) t = run();
    std::nth_element(times.begin(), times.begin() + std::ssize(times) / 4, times.end());
    measured = std::min(measured, 1e6 * times[runs / 4] / static_cast<double>(batch));
  }

  Bits bits;
  int64_t batch;
  double predicted = 0, measured = 1e300;  ///< microseconds per image

 private:
  double run() {
    const auto start = std::chrono::steady_clock::now();
    engine_->run(x_, logits_);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  std::shared_ptr<quant::Engine> engine_;
  Tensor x_;
  std::vector<float> logits_;
};

std::vector<Check> make_checks(const Frame& frame, const Options& options, const std::vector<Bits>& lists,
                               const std::vector<int64_t>& batches) {
  std::vector<Check> checks;
  for (const Bits& bits : lists) {
    const auto engine = std::make_shared<quant::Engine>(random_network(options, bits), engine_of(frame, options));
    for (int64_t batch : batches) checks.emplace_back(bits, batch, engine);
  }
  return checks;
}

/// Fills in the table and what the checks measured. False when a signal came meanwhile.
bool measure(const Frame& frame, const Options& options, const std::vector<int64_t>& batches, ProfileTable& table,
             std::vector<Check>& checks) {
  const double seconds = parse_number(options.seconds, 0.001, 60, "--seconds");
  const quant::EngineOptions engine = engine_of(frame, options);
  const int64_t kinds = table.bits_max - table.bits_min + 1, total = kinds * std::ssize(batches) * (1 + kRounds);
  // Networks of all bits are measured in turn, so that a burst of other work spoils only some rounds of each.
  Progress progress(frame, "profile", "measurements");
  std::vector<std::vector<quant::PlanTimer>> timers(batches.size());
  int64_t done = 0;
  for (int b = table.bits_min; b <= table.bits_max; ++b) {
    if (stop_requested) return false;
    const quant::PackedNetwork network = random_network(options, Bits(table.layers.size(), b));
    for (size_t i = 0; i < batches.size(); ++i) {
      const quant::RunMode mode = batches[i] == 1 ? quant::RunMode::Single : quant::RunMode::Groups;
      timers[i].emplace_back(network, engine, mode);
      progress.update(++done, total, fmt::format("kernels for {} bits", b));
    }
  }
  for (int round = 0; round < kRounds; ++round) {
    for (std::vector<quant::PlanTimer>& of_batch : timers) {
      for (quant::PlanTimer& timer : of_batch) {
        if (stop_requested) return false;
        timer.round(seconds / kRounds);
        progress.update(++done, total, fmt::format("round {} of {}", round + 1, kRounds));
      }
    }
    for (Check& check : checks) {
      if (stop_requested) return false;
      check.round(seconds / kRounds);
    }
  }
  progress.finish();
  std::vector<std::vector<quant::PlanTimes>> times(batches.size());
  for (size_t i = 0; i < batches.size(); ++i) {
    for (const quant::PlanTimer& timer : timers[i]) times[i].push_back(timer.times());
    table.add(batches[i], times[i]);
  }
  for (Check& check : checks)
    for (const ProfileBatch& batch : table.batches)
      if (batch.batch == check.batch) check.predicted = table.predict(batch, check.bits);
  return true;
}

std::filesystem::path beside(const std::filesystem::path& out, const std::string& ending) {
  return out.parent_path() / (out.stem().string() + ending);
}

struct Output {
  std::filesystem::path path;
  std::string text;
};

/// What is to be written: the table as JSON and CSV, and its pictures.
std::vector<Output> outputs_of(const Options& options, const ProfileTable& table) {
  const std::filesystem::path out = options.out;
  std::vector<Output> outputs = {{out, dump_pretty(to_json(table))}, {beside(out, ".csv"), csv_of(table)}};
  for (const ProfileBatch& batch : table.batches) {
    std::string problem;
    const std::string svg = picture_of(table, batch, problem);
    if (svg.empty()) {
      tell("no picture: {}\n", problem);
    } else {
      outputs.push_back({beside(out, fmt::format("-{}.svg", batch.batch)), standalone(svg)});
    }
  }
  return outputs;
}

/// Throws: InputError unless all files that --out names can be written, and none is one that --check reads.
void check_outputs(const Options& options, const std::vector<int64_t>& batches) {
  std::vector<std::filesystem::path> inputs;
  for (const std::string& text : options.checks)
    if (text.starts_with('@')) inputs.emplace_back(text.substr(1));
  check_output(options.out, "--out", inputs);
  check_output(beside(options.out, ".csv").string(), "--out", inputs);
  for (const int64_t batch : batches)
    check_output(beside(options.out, fmt::format("-{}.svg", batch)).string(), "--out", inputs);
}

Json json_of(const std::vector<Check>& checks) {
  Json list = Json::array();
  for (const Check& c : checks)
    list.push_back({{"bits", c.bits},
                    {"batch", c.batch},
                    {"predicted_microseconds", c.predicted},
                    {"measured_microseconds", c.measured}});
  return list;
}

void print_checks(const std::vector<Check>& checks) {
  if (checks.empty()) return;
  size_t width = 4;
  for (const Check& c : checks) width = std::max(width, format_bits(c.bits).size());
  fmt::print("\n{:<{}} {:>6} {:>13} {:>13} {:>9}\n", "bits", width, "batch", "predicted us", "measured us", "off by");
  for (const Check& c : checks)
    fmt::print("{:<{}} {:>6} {:>13.1f} {:>13.1f} {:>+8.1f}%\n", format_bits(c.bits), width, c.batch, c.predicted,
               c.measured, 100 * (c.predicted / c.measured - 1));
}

int run(const Frame& frame, const Options& options) {
  stop_gently();
  if (std::filesystem::path(options.out).extension() != ".json")
    input_error("--out", "wanted a file that ends in .json, got {}", options.out);
  const std::vector<int64_t> batches = batches_of(options);
  check_outputs(options, batches);
  const nn::Network net = build(options);
  ProfileTable table{.net = net.name(),
                     .classes = net.classes(),
                     .input_size = net.input_shape()[0],
                     .bits_min = static_cast<int>(parse_int(options.bits_min, kMinBits, kMaxBits, "--bits-min")),
                     .bits_max = static_cast<int>(parse_int(options.bits_max, kMinBits, kMaxBits, "--bits-max")),
                     .threads = threads(),
                     .exact = options.exact,
                     .kernel = engine_of(frame, options).kernel,
                     .layers = {},
                     .batches = {}};
  if (table.bits_min > table.bits_max)
    input_error("--bits-min", "wanted at most --bits-max = {}, got {}", table.bits_max, table.bits_min);
  for (const nn::ConvInfo& layer : nn::conv_layers(net)) table.layers.push_back(layer.name);
  std::vector<Bits> lists;
  for (const std::string& text : options.checks) {
    lists.push_back(read_bits(text, net));
    for (int b : lists.back())
      if (b < table.bits_min || b > table.bits_max)
        input_error("--check", "wanted {}..{} bits, got {}", table.bits_min, table.bits_max, b);
  }
  std::vector<Check> checks = make_checks(frame, options, lists, batches);
  if (!measure(frame, options, batches, table, checks)) return stop_exit_code();
  const std::vector<Output> outputs = outputs_of(options, table);
  std::vector<std::string> files;
  for (const Output& output : outputs) files.push_back(output.path.string());
  if (frame.json) {
    Json sums = Json::object();
    for (const ProfileBatch& batch : table.batches) {
      Json list = Json::array();
      for (int b = table.bits_min; b <= table.bits_max; ++b)
        list.push_back(table.predict(batch, Bits(table.layers.size(), b)));
      sums[fmt::format("{}", batch.batch)] = list;
    }
    print_json({{"net", table.net},
                {"threads", table.threads},
                {"files", files},
                {"uniform_microseconds", sums},
                {"checks", json_of(checks)}});
  } else {
    fmt::print("{}  {} x {}  {} threads  {}\n", table.net, table.input_size, table.input_size, table.threads,
               table.exact ? "exact" : "any kernel");
    print_table(table);
    print_checks(checks);
    fmt::print("\n{}\n", fmt::join(files, "  "));
  }
  for (const Output& output : outputs) publish(output.path, output.text);
  return 0;
}

}  // namespace

void add_profile(CLI::App& app, Frame& frame) {
  auto options = std::make_shared<Options>();
  std::string names;
  for (const std::string& name : nn::model_names()) names += (names.empty() ? "" : ", ") + name;
  CLI::App* command = add_command(
      app, frame, "profile", "time every layer of a network at every number of bits on this machine",
      "Examples:\n  kronbit profile --net resnet20 --out resnet20.json\n"
      "  kronbit profile --net vgg16 --batch 1 --threads 1 --check \"6 555 44 333 22 11\" --out vgg16.json\n"
      "  kronbit rank RUN --by latency --profile resnet20.json\n"
      "The time of any bit list is the sum of its layers and the rest; weights are random, times do not depend on "
      "them.\nBeside FILE.json: FILE.csv, and pictures FILE-1.svg and FILE-128.svg.",
      [&frame, options] { return run(frame, *options); }, KernelChoice::Packed);
  command->add_option("--net", options->net, "network: " + names)->required();
  command->add_option("--classes", options->classes, "classes (default: the network's usual number)");
  command->add_option("--input-size", options->input_size, "height and width of the images (default: the network's)");
  command->add_option("--bits-min", options->bits_min, "least bits");
  command->add_option("--bits-max", options->bits_max, "most bits");
  command->add_option("--batch", options->batch,
                      "1: single images over all threads, 128: many, in groups, one group per thread");
  command->add_option("--seconds", options->seconds, "of measuring, for each number of bits and batch");
  command->add_flag("--exact", options->exact, "integer products only");
  command->add_option("--check", options->checks, "bits to run whole and compare with their prediction (repeatable)");
  command->add_option("--out", options->out, "FILE.json")->required();
}

}  // namespace kronbit::app
