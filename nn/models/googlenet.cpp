#include "nn/models/googlenet.h"

#include <array>

#include "nn/models/builder.h"

namespace kronbit::nn {
namespace {

/// Output channels of one inception module: the 1x1 branch, the 3x3 branch (reduction, result), the "5x5" branch
/// (reduction, result), the projection after pooling.
struct Module {
  char stage;   ///< '3', '4' or '5'; the map is halved between stages
  char letter;  ///< 'a', 'b', ...
  int64_t c1, r3, c3, r5, c5, pool;
};
constexpr std::array<Module, 9> kModules{{
    {'3', 'a', 64, 96, 128, 16, 32, 32},
    {'3', 'b', 128, 128, 192, 32, 96, 64},
    {'4', 'a', 192, 96, 208, 16, 48, 64},
    {'4', 'b', 160, 112, 224, 24, 64, 64},
    {'4', 'c', 128, 128, 256, 24, 64, 64},
    {'4', 'd', 112, 144, 288, 32, 64, 64},
    {'4', 'e', 256, 160, 320, 32, 128, 128},
    {'5', 'a', 256, 160, 320, 32, 128, 128},
    {'5', 'b', 384, 192, 384, 48, 128, 128},
}};

constexpr PoolOptions kSamePool{.kernel = 3, .stride = 1, .pad = 1};

ConvLayer conv1x1(int64_t channels) { return {.channels = channels, .kernel = 1, .pad = 0}; }
ConvLayer conv3x3(int64_t channels) { return {.channels = channels}; }

/// conv, batch norm and relu as items number, number + 1, number + 2 of a sequence called `sequence`.
int numbered(Builder& b, const std::string& sequence, int number, int from, const ConvLayer& layer) {
  int x = b.conv(fmt::format("{}.{}", sequence, number), from, layer);
  x = b.batch_norm(fmt::format("{}.{}", sequence, number + 1), x);
  return b.relu(fmt::format("{}.{}", sequence, number + 2), x);
}

int cifar_module(Builder& b, const Module& m, int from) {
  const std::string name{m.letter, m.stage};
  const int b1 = numbered(b, name + ".b1", 0, from, conv1x1(m.c1));
  int b2 = numbered(b, name + ".b2", 0, from, conv1x1(m.r3));
  b2 = numbered(b, name + ".b2", 3, b2, conv3x3(m.c3));
  int b3 = numbered(b, name + ".b3", 0, from, conv1x1(m.r5));
  b3 = numbered(b, name + ".b3", 3, b3, conv3x3(m.c5));
  b3 = numbered(b, name + ".b3", 6, b3, conv3x3(m.c5));
  int b4 = b.max_pool(name + ".b4.0", from, kSamePool);
  b4 = numbered(b, name + ".b4", 1, b4, conv1x1(m.pool));
  return b.concat(name + ".concat", {b1, b2, b3, b4});
}

/// conv, batch norm and relu as members of the block `name`.
int named(Builder& b, const std::string& name, int from, const ConvLayer& layer) {
  constexpr double kEps = 1e-3;
  return b.relu(name + ".relu", b.batch_norm(name + ".bn", b.conv(name + ".conv", from, layer), kEps));
}

int imagenet_module(Builder& b, const Module& m, int from) {
  const std::string name = fmt::format("inception{}{}", m.stage, m.letter);
  const int b1 = named(b, name + ".branch1", from, conv1x1(m.c1));
  int b2 = named(b, name + ".branch2.0", from, conv1x1(m.r3));
  b2 = named(b, name + ".branch2.1", b2, conv3x3(m.c3));
  int b3 = named(b, name + ".branch3.0", from, conv1x1(m.r5));
  b3 = named(b, name + ".branch3.1", b3, conv3x3(m.c5));
  int b4 = b.max_pool(name + ".branch4.0", from, kSamePool);
  b4 = named(b, name + ".branch4.1", b4, conv1x1(m.pool));
  return b.concat(name + ".concat", {b1, b2, b3, b4});
}

}  // namespace

Network googlenet_cifar(const std::string& name, int64_t input_size, int classes) {
  Builder b(name, input_size, classes);
  int x = numbered(b, "pre_layers", 0, kInput, conv3x3(192));
  char stage = '3';
  for (const Module& m : kModules) {
    if (m.stage != stage) {
      x = b.max_pool(fmt::format("maxpool{}", stage), x, {.kernel = 3, .stride = 2, .pad = 1});
      stage = m.stage;
    }
    x = cifar_module(b, m, x);
  }
  b.linear("linear", b.global_avg_pool("avgpool", x), classes);
  return b.take();
}

Network googlenet_imagenet(const std::string& name, int64_t input_size, int classes) {
  constexpr PoolOptions kHalve{.kernel = 3, .stride = 2, .ceil_mode = true};
  Builder b(name, input_size, classes);
  int x = named(b, "conv1", kInput, {.channels = 64, .kernel = 7, .stride = 2, .pad = 3});
  x = b.max_pool("maxpool1", x, kHalve);
  x = named(b, "conv2", x, conv1x1(64));
  x = named(b, "conv3", x, conv3x3(192));
  x = b.max_pool("maxpool2", x, kHalve);
  char stage = '3';
  for (const Module& m : kModules) {
    if (m.stage != stage) {
      // The last halving has windows of 2.
      x = b.max_pool(fmt::format("maxpool{}", stage), x,
                     stage == '3' ? kHalve : PoolOptions{.kernel = 2, .stride = 2, .ceil_mode = true});
      stage = m.stage;
    }
    x = imagenet_module(b, m, x);
  }
  x = b.dropout("dropout", b.global_avg_pool("avgpool", x), 0.2);
  b.linear("fc", x, classes);
  return b.take();
}

}  // namespace kronbit::nn
