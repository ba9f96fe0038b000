// For tests of trainings: a data set of noise where any images will do, and all numbers of a network.
#pragma once

#include <memory>

#include "data/dataset.h"
#include "nn/network.h"
#include "tensor/rng.h"

namespace kronbit::nn {

/// `count` images of size x size random pixels; the label of image i is i % classes.
inline data::Dataset random_images(int64_t count, int classes = 10, int64_t size = 16) {
  auto source = std::make_shared<data::MemorySource>();
  source->height = source->width = size;
  for (int k = 0; k < classes; ++k) source->class_names.push_back(fmt::format("class {}", k));
  for (int64_t i = 0; i < count; ++i) source->labels.push_back(static_cast<int32_t>(i % classes));
  source->pixels.resize(static_cast<size_t>(count * source->image_bytes()));
  Rng rng(11, Purpose::Test);
  for (uint8_t& value : source->pixels) value = static_cast<uint8_t>(rng.below(256));
  return data::Dataset(source);
}

inline std::vector<float> parameters_of(const Network& net) {
  std::vector<float> all;
  for (const Parameter& p : net.parameters())
    for (const float v : p.var.value().values()) all.push_back(v);
  return all;
}

}  // namespace kronbit::nn
