// kronbit export: trained weights and a bit list become one packed file.
#include "apps/kronbit/options/common.h"
#include "quant/packed.h"
#include "quant/size.h"

namespace kronbit::app {
namespace {

struct Options {
  NetworkOptions network;
  BitsOptions bits;
  std::string out, multipliers = "auto", normalize;
};

int run(const Frame& frame, const Options& options) {
  std::error_code none_yet;
  if (std::filesystem::equivalent(options.out, options.network.weights, none_yet))
    input_error("--out", "wanted another file than the weights, got {}", options.out);
  LoadedNetwork loaded = load_network(options.network);
  quant::assign_bits(loaded.net, read_bits(options.bits.bits, loaded.net), assign_options(options.bits));
  quant::PackOptions pack;
  pack.multipliers = quant::parse_multiplier_format(options.multipliers);
  if (!options.normalize.empty()) {
    pack.normalization = parse_normalize(options.normalize).text();
  } else if (!loaded.info.normalization.empty()) {
    pack.normalization = data::parse_normalization(loaded.info.normalization).text();
  }
  if (loaded.info.classes == loaded.net.classes()) pack.class_names = loaded.info.class_names;
  quant::pack(loaded.net, pack).save(options.out);

  const quant::PackedNetwork written = quant::PackedNetwork::load(options.out);
  const auto file_bytes = static_cast<int64_t>(std::filesystem::file_size(options.out));
  if (frame.json) {
    print_json({{"file", options.out},
                {"bits", written.bits()},
                {"conv_bytes", written.conv_bytes()},
                {"file_bytes", file_bytes}});
  } else {
    fmt::print("{}: {} at {}, {} bytes of convolutions, {} bytes in all{}\n", options.out, written.network_name(),
               format_bits(written.bits()), written.conv_bytes(), file_bytes,
               pack.normalization.empty() ? "\n(no normalization is known: --normalize keeps it in the file)" : "");
  }
  return 0;
}

}  // namespace

void add_export(CLI::App& app, Frame& frame) {
  auto options = std::make_shared<Options>();
  CLI::App* command = add_command(app, frame, "export", "write a bit-packed network",
                                  "Example:\n  kronbit export --net resnet20 --weights w.safetensors --bits \"666 5555 "
                                  "44444 33333 22\" --out model.safetensors",
                                  [&frame, options] { return run(frame, *options); });
  add_network_options(command, options->network, true);
  add_bits_options(command, options->bits, true);
  command->add_option("--normalize", options->normalize,
                      "imagenet, cifar10, cifar100 or R,G,B/R,G,B (default: the weights')");
  command->add_option("--multipliers", options->multipliers, "auto, f16, bf16 or f32");
  command->add_option("--out", options->out, "file to write")->required();
}

}  // namespace kronbit::app
