// kronbit eval: accuracy of a network, in floating point, quantized by --bits, or from a packed file.
#include "apps/kronbit/common.h"
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
  std::string split = "test", precision = "auto", batch = "250", images;
};

const data::Dataset& choose_split(const data::Splits& splits, const std::string& name) {
  if (name == "test") return splits.test;
  if (name == "val") return splits.validation;
  if (name == "train") return splits.train;
  input_error("--split", "wanted test, val or train, got {}", name);
}

/// The network of the options, quantized if they say so, and the bits in force.
struct Subject {
  nn::Network net;
  Bits bits;
  std::string normalization;
};

Subject open_subject(const Options& options, int data_classes) {
  if (!options.network.weights.empty() &&
      quant::PackedNetwork::is_packed(SafetensorsFile::open(options.network.weights))) {
    const quant::PackedNetwork packed = quant::PackedNetwork::load(options.network.weights);
    if (!options.bits.bits.empty()) input_error("--bits", "{} is packed: its bits are fixed", options.network.weights);
    nn::Network net = packed.network();
    if (net.name() != options.network.net) {
      input_error(options.network.weights, "wanted a packed {}, got a packed {}", options.network.net, net.name());
    }
    return {std::move(net), packed.bits(), packed.normalization()};
  }
  LoadedNetwork loaded = load_network(options.network, data_classes);
  Subject subject{std::move(loaded.net), {}, loaded.normalization};
  if (!options.bits.bits.empty()) {
    subject.bits = read_bits(options.bits.bits, subject.net);
    quant::assign_bits(subject.net, subject.bits, assign_options(options.bits));
  }
  return subject;
}

int run(const Frame& frame, const Options& options) {
  const DType precision = parse_precision(options.precision);
  const int64_t batch = parse_int(options.batch, 1, 1 << 20, "--batch");
  // The weights first: their mistakes show before the data is read.
  Subject subject = open_subject(options, 0);
  const data::Splits splits = open_data(options.data, subject.normalization);
  if (splits.test.classes() != subject.net.classes()) {
    if (!options.network.classes.empty()) {
      input_error("--classes", "wanted the data's {}, got {}", splits.test.classes(), subject.net.classes());
    }
    subject = open_subject(options, splits.test.classes());
  }
  data::Dataset split = choose_split(splits, options.split);
  if (!options.images.empty()) split = split.first(parse_int(options.images, 1, INT64_MAX, "--images"));

  Progress progress(frame, "eval", "images");
  const nn::Accuracy a = nn::evaluate(
      subject.net, split, splits.normalization, batch,
      [&](int64_t done, int64_t total) { progress.update(done, total); }, &stop_requested, precision);
  progress.finish();
  const double rate = static_cast<double>(a.images) / a.seconds;
  if (frame.json) {
    Json result = {{"top1", a.top1},
                   {"top5", a.top5},
                   {"loss", a.loss},
                   {"images", a.images},
                   {"images_per_second", rate},
                   {"kernel", brgemm_variant(precision).name},
                   {"precision", precision_name(precision)},
                   {"bits", subject.bits.empty() ? Json(nullptr) : Json(subject.bits)},
                   {"split", options.split},
                   {"peak_bytes", peak_resident_bytes()}};
    print_json(result);
    return 0;
  }
  fmt::print("{}  {}  {}\n", subject.net.name(), subject.bits.empty() ? "not quantized" : format_bits(subject.bits),
             splits.description);
  fmt::print("top-1 {:.2f} %   top-5 {:.2f} %   loss {:.4f}   on {} images of the {} split\n", 100 * a.top1,
             100 * a.top5, a.loss, a.images, options.split);
  fmt::print("{:.0f} images/s, {} {}, {} threads, peak memory {:.0f} MB\n", rate, precision_name(precision),
             brgemm_variant(precision).name, threads(), static_cast<double>(peak_resident_bytes()) / 1e6);
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
      [&frame, options] { return run(frame, *options); });
  add_network_options(command, options->network, true);
  add_data_options(command, options->data);
  add_bits_options(command, options->bits, false);
  command->add_option("--split", options->split, "test, val or train");
  command->add_option("--images", options->images, "only the first N images");
  command->add_option("--batch", options->batch, "images at a time");
  add_precision_option(command, options->precision);
}

}  // namespace kronbit::app
