// Weights and images that the generators in golden/ (models.py, train_curve.py) make of the same formula.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "nn/network.h"

namespace kronbit::nn {

/// `count` hashed numbers in [-1, 1), another sequence for every name.
inline std::vector<double> hashed(const std::string& name, int64_t count) {
  uint32_t key = 2166136261u;
  for (const char c : name) key = (key ^ static_cast<uint8_t>(c)) * 16777619u;
  std::vector<double> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) {
    uint32_t x = static_cast<uint32_t>(i) + key;
    x = (x ^ (x >> 16)) * 0x7FEB352Du;
    x = (x ^ (x >> 15)) * 0x846CA68Bu;
    x ^= x >> 16;
    values[i] = static_cast<double>(x) / 2147483648.0 - 1;
  }
  return values;
}

/// The parameter `name`.
inline Tensor formula(const std::string& name, const Shape& shape, Role role) {
  std::vector<float> values;
  values.reserve(static_cast<size_t>(shape.count()));
  for (const double hash : hashed(name, shape.count())) {
    double v = 0.1 * hash;
    if (role == Role::Weight)
      v = hash * std::sqrt((shape.rank() == 4 ? 6.0 : 3.0) / static_cast<double>(shape.count() / shape[0]));
    if (role == Role::Variance) v = 1 + 0.5 * hash;
    if (role == Role::Scale) v = 1 + 0.25 * hash;
    values.push_back(static_cast<float>(v));
  }
  return Tensor::from(shape, values);
}

/// Image `n` of the activation `x`. Shapes: values [3][H][W]
template <class T>
void set_image(Tensor& x, int64_t n, const T* values) {
  const int64_t pixels = x.height() * x.width();
  for (int64_t c = 0; c < 3; ++c)
    for (int64_t p = 0; p < pixels; ++p)
      x.row<float>(p * x.images() + n)[c] = static_cast<float>(values[c * pixels + p]);
}

inline Tensor formula_images(int64_t size, int64_t images) {
  Tensor x = Tensor::activation(size, size, images, 3);
  const std::vector<double> v = hashed("images", images * 3 * size * size);
  for (int64_t n = 0; n < images; ++n) set_image(x, n, v.data() + n * 3 * size * size);
  return x;
}

}  // namespace kronbit::nn
