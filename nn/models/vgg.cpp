#include "nn/models/vgg.h"

#include <array>

#include "nn/models/builder.h"

namespace kronbit::nn {
namespace {

/// Convolutions of the five stages; each stage ends with 2x2 pooling.
std::array<int, 5> convolutions_per_stage(int depth) {
  switch (depth) {
    case 11:
      return {1, 1, 2, 2, 2};
    case 13:
      return {2, 2, 2, 2, 2};
    case 16:
      return {2, 2, 3, 3, 3};
    case 19:
      return {2, 2, 4, 4, 4};
  }
  input_error("vgg", "depth: wanted 11, 13, 16 or 19, got {}", depth);
}

/// The layers named features.0, features.1, ... Returns the last pooling; `next` becomes the first unused number.
int features(Builder& b, int depth, int& next) {
  constexpr std::array<int64_t, 5> kChannels{64, 128, 256, 512, 512};
  const std::array<int, 5> counts = convolutions_per_stage(depth);
  const auto name = [&next] { return fmt::format("features.{}", next++); };
  int x = kInput;
  for (size_t stage = 0; stage < counts.size(); ++stage) {
    for (int i = 0; i < counts[stage]; ++i) {
      x = b.conv(name(), x, {.channels = kChannels[stage]});
      x = b.batch_norm(name(), x);
      x = b.relu(name(), x);
    }
    x = b.max_pool(name(), x, {});
  }
  return x;
}

}  // namespace

Network vgg_cifar(const std::string& name, int depth, int64_t input_size, int classes) {
  Builder b(name, input_size, classes);
  int next = 0;
  int x = features(b, depth, next);
  x = b.global_avg_pool(fmt::format("features.{}", next), x);
  b.linear("classifier", x, classes);
  return b.take();
}

Network vgg_imagenet(const std::string& name, int depth, int64_t input_size, int classes) {
  Builder b(name, input_size, classes);
  int next = 0;
  int x = features(b, depth, next);
  x = b.flatten("flatten", x);
  x = b.linear("classifier.0", x, 4096);
  x = b.relu("classifier.1", x);
  x = b.dropout("classifier.2", x, 0.5);
  x = b.linear("classifier.3", x, 4096);
  x = b.relu("classifier.4", x);
  x = b.dropout("classifier.5", x, 0.5);
  b.linear("classifier.6", x, classes);
  return b.take();
}

}  // namespace kronbit::nn
