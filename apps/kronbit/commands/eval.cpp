// kronbit eval: accuracy of a network, in floating point, quantized by --bits, or from a packed file.
#include <algorithm>
#include <optional>

#include "apps/kronbit/options/common.h"
#include "apps/kronbit/options/packed_runner.h"
#include "apps/kronbit/options/pictures.h"
#include "apps/kronbit/progress.h"
#include "nn/train.h"
#include "quant/packed.h"
#include "tensor/brgemm/brgemm.h"
#include "tensor/io/parse.h"
#include "tensor/io/safetensors.h"
#include "tensor/memory.h"
#include "tensor/parallel.h"

namespace kronbit::app {
namespace {

struct Options {
  NetworkOptions network;
  DataOptions data;
  BitsOptions bits;
  std::string split = "test", precision = "auto", batch = "250", images, device = "cpu";
  bool exact = false;
};

const data::Dataset& choose_split(const data::Splits& splits, const std::string& name) {
  if (name == "test") return splits.test;
  if (name == "val") return splits.validation;
  if (name == "train") return splits.train;
  input_error("--split", "wanted test, val or train, got {}", name);
}

/// What is evaluated: a network, quantized if the options say so, or a packed one with what runs it.
struct Subject {
  std::string name;
  int classes = 0;
  std::vector<std::string> class_names = {};  ///< empty when not known
  Bits bits = {};
  std::shared_ptr<nn::Network> net = {};
  std::shared_ptr<PackedRunner> runner = {};
};

Subject open_packed(const Frame& frame, const Options& options, const quant::PackedNetwork& packed) {
  const std::string& file = options.network.weights;
  if (!options.bits.bits.empty()) input_error("--bits", "{} is packed: its bits are fixed", file);
  if (packed.network_name() != options.network.net)
    input_error(file, "wanted a packed {}, got a packed {}", options.network.net, packed.network_name());
  const auto agree = [&](const std::string& text, int64_t said, const char* flag) {
    if (!text.empty() && parse_int(text, 1, 65536, flag) != said)
      input_error(flag, "wanted {} as {} says, got {}", said, file, text);
  };
  agree(options.network.classes, packed.classes(), "--classes");
  agree(options.network.input_size, packed.input_size(), "--input-size");
  return {.name = packed.network_name(),
          .classes = packed.classes(),
          .class_names = packed.class_names(),
          .bits = packed.bits(),
          .runner = std::make_shared<PackedRunner>(packed, frame, file, options.exact, options.device)};
}

Subject open_subject(const Options& options) {
  LoadedNetwork loaded = load_network(options.network);
  Subject subject{.name = loaded.net.name(), .classes = loaded.net.classes(), .class_names = loaded.info.class_names};
  if (!options.bits.bits.empty()) {
    subject.bits = read_bits(options.bits.bits, loaded.net);
    quant::assign_bits(loaded.net, subject.bits, assign_options(options.bits));
  }
  subject.net = std::make_shared<nn::Network>(std::move(loaded.net));
  return subject;
}

/// What the subject is calculated with, for people and as JSON.
struct Arithmetic {
  std::string kernel, precision;
};

/// Scales are folded into weights by block products that round; a packed network without block products (other block
/// sizes) multiplies FP32 numbers.
Arithmetic arithmetic_of(const std::vector<quant::PlanReport>& plans) {
  const bool exact = std::ranges::all_of(plans, &quant::PlanReport::exact);
  const bool dense = std::ranges::all_of(plans, [](const quant::PlanReport& plan) {
    return std::ranges::all_of(plan.choices, [](const auto& choice) { return choice.kernel == "dense"; });
  });
  return {kernel_summary(plans), exact ? "exact" : dense ? "fp32" : "folded"};
}

int run(const Frame& frame, const Options& options) {
  stop_gently();
  const int64_t batch = parse_int(options.batch, 1, 1 << 20, "--batch");
  const std::string& file = options.network.weights;
  const bool packed = quant::PackedNetwork::is_packed(SafetensorsFile::open(file));
  assign_options(options.bits);
  if (!packed && options.exact) input_error("--exact", "wanted a packed network, got weights");
  if (!packed && !frame.kernel.empty() && frame.kernel != "auto" && !forced_brgemm_variant())
    input_error("--kernel", "{}: wanted a kernel that computes with floating point weights (kronbit info lists them)",
                frame.kernel);
  if (!packed && options.device != "cpu" && !frame.kernel.empty())
    input_error("--kernel", "wanted none for weights on a device, which has one way to compute with them, got {}",
                frame.kernel);
  if (packed && options.precision != "auto")
    input_error("--precision", "wanted auto for a packed network, whose kernels decide (--exact, --kernel), got {}",
                options.precision);
  const DType precision = packed ? DType::F32 : parse_precision(options.precision, options.device);
  const std::unique_ptr<Device> device = packed ? nullptr : open_device(options.device);
  // The weights first: their mistakes show before the data is read.
  const std::optional<quant::PackedNetwork> network =
      packed ? std::optional(quant::PackedNetwork::load(file)) : std::nullopt;
  Subject subject = packed ? open_packed(frame, options, *network) : open_subject(options);
  require_data(options.data, file);
  DataOptions read = options.data;
  read.test_only = options.split == "test";
  const data::Splits splits = packed ? open_data(read, file, *network) : open_data(read, options.network);
  check_classes(file, subject.classes, subject.class_names, splits, Classes::Same);
  data::Dataset split = choose_split(splits, options.split);
  if (!options.images.empty()) split = split.spread(parse_int(options.images, 1, INT64_MAX, "--images"));
  check_pictures(options.data, {split});

  Progress progress(frame, "eval", "images");
  const auto show = [&](int64_t done, int64_t total) { progress.update(done, total); };
  const auto classify = [&](const Tensor& x) { return subject.runner->classify(x); };
  const nn::Accuracy a = packed ? nn::evaluate(classify, split, splits.normalization, batch, show, &stop_requested)
                                : nn::evaluate(*subject.net, split, splits.normalization, batch, show, &stop_requested,
                                               precision, device.get());
  progress.finish();
  const Arithmetic with = packed ? arithmetic_of(subject.runner->plans_that_ran())
                                 : Arithmetic{product_kernel(options.device, precision), precision_name(precision)};
  const double rate = static_cast<double>(a.images) / a.seconds;
  if (frame.json) {
    Json result = {{"top1", a.top1},
                   {"top5", a.top5},
                   {"loss", a.loss},
                   {"images", a.images},
                   {"images_per_second", rate},
                   {"kernel", with.kernel},
                   {"precision", with.precision},
                   {"device", options.device},
                   {"bits", subject.bits.empty() ? Json(nullptr) : Json(subject.bits)},
                   {"split", options.split},
                   {"peak_bytes", peak_resident_bytes()}};
    print_json(result);
    return 0;
  }
  fmt::print("{}  {}  {}\n", subject.name, subject.bits.empty() ? "not quantized" : format_bits(subject.bits),
             splits.description);
  fmt::print("top-1 {:.2f} %   top-5 {:.2f} %   loss {:.4f}   on {} images of the {} split\n", 100 * a.top1,
             100 * a.top5, a.loss, a.images, options.split);
  fmt::print("{:.0f} images/s, {}: {}, {} threads, peak memory {:.0f} MB\n", rate, with.precision, with.kernel,
             threads(), static_cast<double>(peak_resident_bytes()) / 1e6);
  return 0;
}

}  // namespace

void add_eval(CLI::App& app, Frame& frame) {
  auto options = std::make_shared<Options>();
  CLI::App* command = add_command(
      app, frame, "eval", "accuracy of a network, in floating point or quantized",
      "Examples:\n  kronbit eval --net resnet20 --weights resnet20-cifar10.safetensors --data cifar10:DIR --normalize "
      "imagenet\n"
      "  kronbit eval --net resnet20 --weights w.safetensors --data cifar10:DIR --bits \"666 5555 44444 33333 22\"\n"
      "  kronbit eval --net resnet20 --weights RUN/best/model.safetensors --data cifar10:DIR",
      [&frame, options] { return run(frame, *options); }, KernelChoice::Packed);
  add_network_options(command, options->network, true);
  add_data_options(command, options->data);
  add_bits_options(command, options->bits, false);
  command->add_option("--split", options->split, "test, val or train");
  command->add_option("--images", options->images, "only N images, spread evenly");
  command->add_option("--batch", options->batch, "images at a time");
  command->add_flag("--exact", options->exact,
                    "packed networks: integer products only, the same bits on every machine");
  add_device_option(command, options->device);
  add_precision_option(command, options->precision);
}

}  // namespace kronbit::app
