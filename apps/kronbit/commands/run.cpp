// kronbit run: classifies image files with a packed network; nothing but the file is needed.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "apps/kronbit/options/common.h"
#include "apps/kronbit/options/packed_runner.h"
#include "data/image.h"
#include "quant/packed.h"
#include "tensor/io/text.h"

namespace kronbit::app {
namespace {

struct Options {
  std::string model, normalize, device = "cpu";
  std::vector<std::string> images;
  bool exact = false;
};

struct Guess {
  int index;
  double probability;
};

std::vector<Guess> top_classes(const std::vector<float>& logits, size_t most) {
  std::vector<int> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto at = [&](int i) { return static_cast<double>(logits[static_cast<size_t>(i)]); };
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return at(a) > at(b); });
  double sum = 0;
  for (int i : order) sum += std::exp(at(i) - at(order[0]));
  std::vector<Guess> guesses;
  for (size_t i = 0; i < std::min(most, order.size()); ++i) {
    guesses.push_back({order[i], std::exp(at(order[i]) - at(order[0])) / sum});
  }
  return guesses;
}

int run(const Frame& frame, const Options& options) {
  const quant::PackedNetwork packed = quant::PackedNetwork::load(options.model);
  if (options.normalize.empty() && packed.normalization().empty())
    input_error(options.model, "wanted a normalization in the file or --normalize, got neither");
  const data::Normalization normalization = options.normalize.empty()
                                                ? data::parse_normalization(packed.normalization())
                                                : parse_normalize(options.normalize);
  PackedRunner runner(packed, frame, options.model, options.exact, options.device);
  const auto name_of = [&](int index) {
    const auto& names = packed.class_names();
    return names.empty() ? fmt::format("class {}", index) : names[static_cast<size_t>(index)];
  };

  Json results = Json::array();
  for (const std::string& file : options.images) {
    const data::Image image = data::fit(data::load_image(file), packed.input_size(), packed.input_size());
    const std::vector<float> logits = runner.classify(data::to_tensor(image, normalization)).values();
    if (!std::ranges::all_of(logits, [](float v) { return std::isfinite(v); }))
      throw NumericalError(fmt::format("[{}] the outputs for {} are not finite", options.model, file));
    Json top = Json::array();
    std::string line = printable(file) + ":";
    for (const Guess& guess : top_classes(logits, 5)) {
      top.push_back({{"class", guess.index}, {"name", name_of(guess.index)}, {"probability", guess.probability}});
      line += fmt::format("  {} {:.1f} %", printable(name_of(guess.index)), 100 * guess.probability);
    }
    results.push_back({{"file", file}, {"top5", top}});
    if (!frame.json) fmt::print("{}\n", line);
  }
  if (frame.json) print_json({{"model", options.model}, {"images", results}});
  return 0;
}

}  // namespace

void add_run(CLI::App& app, Frame& frame) {
  auto options = std::make_shared<Options>();
  CLI::App* command = add_command(
      app, frame, "run", "classify image files with a packed network",
      "Example:\n  kronbit run runs/s/best/model.safetensors cat.png dog.jpg",
      [&frame, options] { return run(frame, *options); }, KernelChoice::Packed);
  command->add_option("model", options->model, "packed network")->required();
  command->add_option("images", options->images, "JPEG or PNG files of any size")->required();
  command->add_flag("--exact", options->exact, "integer products only: the same bits on every machine");
  add_device_option(command, options->device);
  command->add_option("--normalize", options->normalize, "instead of what the file says");
}

}  // namespace kronbit::app
