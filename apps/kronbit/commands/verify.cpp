// kronbit verify: counts the bytes of a packed file and runs it against the reference kernel.
#include <algorithm>
#include <cmath>

#include "apps/kronbit/options/common.h"
#include "apps/kronbit/options/pictures.h"
#include "data/formats.h"
#include "data/loader.h"
#include "quant/packed.h"
#include "quant/verify.h"
#include "tensor/io/parse.h"

namespace kronbit::app {
namespace {

struct Options {
  std::string model, images = "64";
  DataOptions data;
};

/// --data, else synthetic images. The arithmetic needs no labels, so only the same number of classes of other names is
/// held to be a mistake.
data::Splits open_test_data(const Options& options, const quant::PackedNetwork& packed) {
  if (options.data.data.empty() && packed.input_size() != data::kSyntheticSide)
    input_error("--data", "wanted images of {0} x {0} as {1} says, got nothing", packed.input_size(), options.model);
  DataOptions read = options.data;
  read.test_only = true;
  const data::Splits splits = open_data(read, options.model, packed);
  if (!options.data.data.empty() && packed.classes() == splits.test.classes())
    check_classes(options.model, packed.classes(), packed.class_names(), splits, Classes::Same);
  return splits;
}

/// JSON has no infinity, which says that outputs were not finite.
Json number_or_null(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

int run(const Frame& frame, const Options& options) {
  const quant::PackedNetwork packed = quant::PackedNetwork::load(options.model);
  const data::Splits splits = open_test_data(options, packed);
  const int64_t n = std::min(parse_int(options.images, 1, 4096, "--images"), splits.test.size());
  const data::Dataset images = splits.test.spread(n);
  check_pictures(options.data, {images});
  data::Loader loader(images, splits.normalization, {.batch_size = n, .seed = 0, .training = false});
  const quant::Verification v = quant::verify(options.model, loader.batch(0, 0).images);
  if (frame.json) {
    print_json({{"ok", v.good()},
                {"images", v.images},
                {"layer_difference", number_or_null(v.layer_difference)},
                {"worst_layer", v.worst_layer},
                {"largest_difference", number_or_null(v.largest_difference)},
                {"relative_difference", number_or_null(v.relative_difference())},
                {"same_class", v.same_class},
                {"engine_difference", number_or_null(v.engine_difference)},
                {"engine_exact", v.engine_exact},
                {"file_bytes", v.file_bytes},
                {"rule_bytes", v.rule_bytes}});
  } else {
    fmt::print("bytes       {} in the file, {} by the rule packed: {}\n", v.file_bytes, v.rule_bytes,
               v.file_bytes == v.rule_bytes ? "equal" : "DIFFERENT");
    fmt::print("arithmetic  {} layers on {} images: largest relative difference {:.2g}, in {}: {}\n",
               packed.layers().size(), v.images, v.layer_difference, v.worst_layer,
               v.layer_difference <= quant::kLayerTolerance ? "rounding" : "WRONG");
    fmt::print("network     logits {:.2g} apart (the largest is {:.3g}), same class on {} of {} images\n",
               v.largest_difference, v.largest_logit, v.same_class, v.images);
    fmt::print("engine      logits {:.2g} apart from the reference, relative: {}\n", v.engine_difference,
               !v.engine_exact                                  ? "not comparable (blocks that are not 32)"
               : v.engine_difference <= quant::kEngineTolerance ? "equal"
                                                                : "WRONG");
    fmt::print("{}\n", v.good() ? "verified" : "NOT verified");
  }
  return v.good() ? 0 : 1;
}

}  // namespace

void add_verify(CLI::App& app, Frame& frame) {
  auto options = std::make_shared<Options>();
  CLI::App* command = add_command(app, frame, "verify", "check a packed network: its bytes and its arithmetic",
                                  "Example:\n  kronbit verify model.safetensors --data cifar10:DIR",
                                  [&frame, options] { return run(frame, *options); });
  command->add_option("model", options->model, "packed network")->required();
  command->add_option("--images", options->images, "test images to run, spread evenly");
  add_data_options(command, options->data);
}

}  // namespace kronbit::app
