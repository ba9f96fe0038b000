// Packed networks that have seen no training, images to feed them, and ways to compare what comes out.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "nn/models/models.h"
#include "quant/packed.h"
#include "tensor/rng.h"

namespace kronbit::quant {

inline constexpr const char* kNormalization = "0.5,0.5,0.5/0.25,0.25,0.25";

/// input_size 0: the network's usual one.
inline PackedNetwork packed(const std::string& name, const std::string& bits, const AssignOptions& options = {},
                            MultiplierFormat multipliers = MultiplierFormat::Auto, int64_t input_size = 0) {
  nn::Network net = nn::build(name, {.classes = 10, .input_size = input_size});
  net.initialize(7);
  // Statistics as after some training: normalization then does something.
  Rng rng(3, Purpose::Synthetic, {1});
  for (nn::Parameter& p : net.parameters()) {
    for (float& v : p.var.value().values()) {
      if (p.role == nn::Role::Mean) v = static_cast<float>(rng.uniform(-0.1, 0.1));
      if (p.role == nn::Role::Variance) v = static_cast<float>(rng.uniform(0.5, 1.5));
      if (p.role == nn::Role::Shift) v = static_cast<float>(rng.uniform(-0.1, 0.3));
    }
  }
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

/// Relative distance of two vectors.
inline double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
    norm += std::pow(static_cast<double>(b[i]), 2);
  }
  return std::sqrt(difference / norm);
}

}  // namespace kronbit::quant
