// Packed networks that have seen no training, images to feed them, and ways to compare what comes out.
#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "nn/models/models.h"
#include "quant/packed.h"
#include "tensor/rng.h"
#include "tests/tensor/distance.h"

namespace kronbit::quant {

inline constexpr const char* kNormalization = "0.5,0.5,0.5/0.25,0.25,0.25";

/// Statistics, scales, shifts and biases as after some training: of every channel its own.
inline void disturb(nn::Network& net) {
  Rng rng(3, Purpose::Synthetic, {1});
  for (nn::Parameter& p : net.parameters()) {
    const auto fill = [&](double low, double high) {
      Tensor& t = p.var.value();
      for (int64_t i = 0; i < t.count(); ++i) t.data<float>()[i] = static_cast<float>(rng.uniform(low, high));
    };
    switch (p.role) {
      case nn::Role::Mean:
        fill(-0.1, 0.1);
        break;
      case nn::Role::Variance:
        fill(0.5, 1.5);
        break;
      case nn::Role::Scale:
        fill(0.5, 1.5);
        break;
      case nn::Role::Shift:
        fill(-0.1, 0.3);
        break;
      case nn::Role::Bias:
        fill(-0.1, 0.1);
        break;
      case nn::Role::Weight:
        break;
    }
  }
}

/// input_size 0: the network's usual one.
inline PackedNetwork packed(const std::string& name, const std::string& bits, const AssignOptions& options = {},
                            MultiplierFormat multipliers = MultiplierFormat::Auto, int64_t input_size = 0) {
  nn::Network net = nn::build(name, {.classes = 10, .input_size = input_size});
  net.initialize(7);
  disturb(net);
  assign_bits(net, parse_bits(bits, std::ssize(net.convolutions())), options);
  return pack(net, {.multipliers = multipliers, .normalization = kNormalization});
}

inline Tensor images(int64_t n, int64_t size = 32) {
  Tensor x = Tensor::activation(size, size, n, 3);
  Rng rng(5, Purpose::Synthetic, {static_cast<uint64_t>(n)});
  for (int64_t r = 0; r < x.rows(); ++r)
    for (int64_t c = 0; c < 3; ++c) x.row<float>(r)[c] = static_cast<float>(rng.uniform(-2, 2));
  return x;
}

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace kronbit::quant
