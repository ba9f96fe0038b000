// A program of somebody else that uses the installed library: packs a small network, runs it on one black image, and
// looks for a GPU.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "nn/models/models.h"
#include "quant/assign.h"
#include "quant/engine/engine.h"
#include "tensor/cuda/device.h"

int main() {
  kronbit::nn::Network net = kronbit::nn::build("toy10");
  net.initialize(/*seed=*/1);
  const size_t layers = net.convolutions().size();
  kronbit::quant::assign_bits(net, kronbit::Bits(layers, 2));
  kronbit::quant::Engine engine(kronbit::quant::pack(net, {.normalization = "0.5,0.5,0.5/0.25,0.25,0.25"}));
  const std::vector<uint8_t> black(static_cast<size_t>(3 * engine.image_size() * engine.image_size()));
  std::vector<float> logits(static_cast<size_t>(engine.classes()));
  engine.run(black, 1, logits);
  std::string why;
  const bool gpu = kronbit::open_cuda_device(why) != nullptr;
  std::printf("%s: %zu convolutions, logits from %g, GPU: %s\n", net.name().c_str(), layers,
              static_cast<double>(logits[0]), gpu ? "yes" : why.c_str());
  return std::all_of(logits.begin(), logits.end(), [](float v) { return std::isfinite(v); }) ? 0 : 1;
}
