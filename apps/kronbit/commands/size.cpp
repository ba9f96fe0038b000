// kronbit size: bytes and bit operations of a quantized network, without weights or data.
#include "quant/size.h"
#include "apps/kronbit/options/common.h"
#include "nn/layers.h"
#include "nn/models/models.h"

namespace kronbit::app {
namespace {

struct Options {
  NetworkOptions network;
  BitsOptions bits;
  std::string rule = "packed", multipliers = "auto";
  bool layers = false;
};

int run(const Frame& frame, const Options& options) {
  const nn::Network net = load_network(options.network).net;
  const Bits bits = read_bits(options.bits.bits, net);
  const quant::SizeRule rule = quant::parse_size_rule(options.rule);
  const quant::MultiplierFormat multipliers = quant::parse_multiplier_format(options.multipliers);
  const int64_t block = assign_options(options.bits).block;
  const auto layers = nn::conv_layers(net);
  const quant::SizeReport size = quant::size_of(layers, bits, rule, block, multipliers);
  if (frame.json) {
    print_json({{"net", net.name()},
                {"rule", options.rule},
                {"bits", bits},
                {"total_bits", size.total_bits},
                {"weights", size.weights},
                {"bytes", size.bytes},
                {"megabytes", size.megabytes()},
                {"mebibytes", size.mebibytes()},
                {"percent_of_fp32", size.percent_of_fp32()},
                {"bops", size.bops}});
    return 0;
  }
  fmt::print("{}  {}\n", net.name(), format_bits(bits));
  fmt::print("convolutions  {} layers, {} weights, {} bits in all, {:.2f} bits per weight\n", bits.size(), size.weights,
             size.total_bits, 8.0 * static_cast<double>(size.bytes) / static_cast<double>(size.weights));
  fmt::print("size          {} bytes = {:.2f} MB = {:.2f} MiB ({:.2f} % of fp32), rule {}\n", size.bytes,
             size.megabytes(), size.mebibytes(), size.percent_of_fp32(), options.rule);
  fmt::print("bit work      {:.3g} bit operations per image (multiplications x bits x bits)\n",
             static_cast<double>(size.bops));
  if (!options.layers) return 0;
  fmt::print("\n{:<28} {:>4} {:>10} {:>12} {:>7}\n", "layer", "bits", "weights", "bytes", "share");
  for (size_t i = 0; i < layers.size(); ++i) {
    const int64_t bytes = quant::size_of({&layers[i], 1}, {bits[i]}, rule, block, multipliers).bytes;
    fmt::print("{:<28} {:>4} {:>10} {:>12} {:>6.1f}%\n", layers[i].name, bits[i], layers[i].weights(), bytes,
               100.0 * static_cast<double>(bytes) / static_cast<double>(size.bytes));
  }
  return 0;
}

}  // namespace

void add_size(CLI::App& app, Frame& frame) {
  auto options = std::make_shared<Options>();
  CLI::App* command = add_command(app, frame, "size", "bytes of the convolutions under a bit list",
                                  "Examples:\n  kronbit size --net vgg16 --bits \"6 555 44 333 22 11\"\n"
                                  "  kronbit size --net resnet20 --bits 3 --rule paper --layers",
                                  [&frame, options] { return run(frame, *options); });
  add_network_options(command, options->network, false);
  add_bits_options(command, options->bits, true);
  command->add_option("--rule", options->rule,
                      "packed (bytes of our file), paper (P b / 8 + P / 16) or payload (P b / 8)");
  command->add_option("--multipliers", options->multipliers,
                      "of the rule packed, as export writes them: auto, f16, bf16 or f32");
  command->add_flag("--layers", options->layers, "one line per layer");
}

}  // namespace kronbit::app
