// The library on one page: train a small network on procedural images, let the explorer try bit lists, pack the best
// one, and run the packed file. The argument is a number of images: 64 unless given, which shows the way in seconds and
// is too few to learn anything. docs/library.md says what happens where.
#include <fmt/format.h>

#include <algorithm>

#include "data/open.h"
#include "nn/models/models.h"
#include "nn/train.h"
#include "quant/engine/engine.h"
#include "search/explorer.h"
#include "search/ranking.h"
#include "tensor/io/parse.h"

using namespace kronbit;

namespace {

data::Splits open_images(int64_t count) {
  data::Splits splits = data::open("synthetic");  // or "cifar10:DIR", "folder:DIR" ...
  splits.train = splits.train.first(count);
  splits.validation = splits.validation.first(count / 2);
  return splits;
}

double accuracy(nn::Network& net, const data::Splits& splits) {
  return nn::evaluate(net, splits.validation, splits.normalization).top1;
}

void train(nn::Network& net, const data::Splits& splits, double epochs, double lr) {
  nn::Trainer trainer(net, splits.train, splits.normalization,
                      {.epochs = epochs, .batch = 32, .optimiser = nn::Sgd{.lr = lr, .momentum = 0.9}, .schedule = {}});
  while (!trainer.done()) trainer.advance();
}

/// Task 0: accuracy as quantized; task 1: after half an epoch of fine-tuning. Always from the trained weights.
std::vector<double> measure(const nn::Network& trained, const Bits& bits, int task, const data::Splits& splits) {
  nn::Network net = trained.clone();
  quant::assign_bits(net, bits);  // fake quantization, trainable: the FP32 weights stay underneath
  std::vector<double> accuracies{accuracy(net, splits)};
  if (task == 1) {
    train(net, splits, 0.5, 0.01);
    accuracies.push_back(accuracy(net, splits));
  }
  return accuracies;
}

}  // namespace

int main(int argc, char** argv) {
  const data::Splits splits = open_images(argc > 1 ? parse_int(argv[1], 2, 6400, "images") : 64);
  nn::Network net = nn::build("resnet20", {.classes = splits.train.classes()});
  net.initialize(/*seed=*/1);  // or nn::load_state_dict(net, "resnet20-cifar10.safetensors")
  train(net, splits, 1, 0.05);
  fmt::print("fp32: {:.1f} % of {} validation images\n", 100 * accuracy(net, splits), splits.validation.size());

  // The search space: every distinct bit list that a straight line over the depth can draw, with its exact size.
  const std::vector<nn::ConvInfo> layers = nn::conv_layers(net);
  search::SpaceOptions space;
  space.curve = search::Curve::bezier(1);
  for (const nn::ConvInfo& layer : layers) space.layers.push_back(layer.name);
  space.cost = [&layers](const Bits& bits) {
    const quant::SizeReport size = quant::size_of(layers, bits, quant::SizeRule::Packed);
    return search::Cost{.bytes = static_cast<double>(size.bytes), .bops = static_cast<double>(size.bops)};
  };
  const std::vector<search::Candidate> candidates = search::make_candidates(space);

  // Two tasks, the second four times as expensive; the explorer asks for the run that tells most per unit of cost.
  search::Explorer explorer(candidates, /*tries=*/{}, {.costs = {1, 4}, .strategy = {}});
  while (explorer.history().told.size() < 8) {
    explorer.begin_round(explorer.plan_round());
    while (const search::PlannedRun* run = explorer.first_waiting()) {
      explorer.tell(measure(net, candidates[run->candidate].bits, run->task, splits));
    }
  }

  // The Gaussian process knows nothing of networks: it saw points, tasks and accuracies.
  const search::Model model = explorer.fit();
  const std::vector<search::Ranked> ranked = search::rank(model, explorer, candidates, explorer.goal(), {});
  const Bits best = candidates[ranked[0].candidate].bits;
  fmt::print("best of {} candidates: {}, expected {:.1f} % +- {:.1f}\n", ranked.size(), format_bits(best),
             100 * ranked[0].accuracy, 100 * ranked[0].sd);

  // Fine-tune it, write bit planes and multipliers, read the file back and run it.
  quant::assign_bits(net, best);
  train(net, splits, 0.5, 0.01);
  quant::pack(net, {.normalization = splits.normalization.text()}).save("model.safetensors");
  const quant::PackedNetwork packed = quant::PackedNetwork::load("model.safetensors");
  quant::Engine engine(
      packed);  // times the kernels of this machine on every layer; quant::Engine::load(file) does both
  const double top1 = nn::evaluate([&](const Tensor& x) { return engine.classify(x); }, splits.validation,
                                   splits.normalization, /*batch=*/128)
                          .top1;
  fmt::print("packed: {:.1f} %, {} bytes of convolutions\n", 100 * top1, packed.conv_bytes());

  // One picture as it comes from a file or a camera: red, green and blue bytes, row by row.
  std::vector<uint8_t> rgb(static_cast<size_t>(3 * engine.image_size() * engine.image_size()));
  splits.test.source().read(0, rgb.data());
  std::vector<float> logits(static_cast<size_t>(engine.classes()));
  engine.run(rgb, /*images=*/1, logits);
  const auto best_class = std::max_element(logits.begin(), logits.end()) - logits.begin();
  fmt::print("the first test image: {}\n", splits.test.class_names()[static_cast<size_t>(best_class)]);

  // What a file holds is what the size rule said, to the byte.
  return packed.conv_bytes() == quant::size_of(layers, best, quant::SizeRule::Packed).bytes ? 0 : 1;
}
