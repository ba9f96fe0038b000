// A network that trains in no time, and its parameters by name and bit by bit.
#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <vector>

#include "nn/models/builder.h"

namespace kronbit::nn {

/// For 16x16 images: a convolution, a residual block that halves the map, dropout, a linear layer.
inline Network small_network(uint64_t seed = 4, int classes = 10, const std::string& name = "small") {
  Builder b(name, 16, classes);
  const int x = b.relu("relu1", b.batch_norm("bn1", b.conv("conv1", kInput, {.channels = 16})));
  const int y = b.batch_norm("bn2", b.conv("conv2", x, {.channels = 32, .stride = 2}));
  const int z = b.relu("relu2", b.add("add", y, b.shortcut_a("shortcut", x, 32, 2)));
  b.linear("linear", b.global_avg_pool("pool", b.dropout("dropout", z, 0.2)), classes);
  Network net = b.take();
  net.initialize(seed);
  return net;
}

inline std::vector<uint32_t> bits_of(const Network& net) {
  std::vector<uint32_t> bits;
  for (const Parameter& p : net.parameters())
    for (const float v : p.var.value().values()) bits.push_back(std::bit_cast<uint32_t>(v));
  return bits;
}

inline Tensor& weight(Network& net, const std::string& name) {
  for (Parameter& p : net.parameters())
    if (p.name == name) return p.var.value();
  throw Error("no parameter " + name);
}

}  // namespace kronbit::nn
