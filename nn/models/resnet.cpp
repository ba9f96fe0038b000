#include "nn/models/resnet.h"

#include <array>

#include "nn/models/builder.h"

namespace kronbit::nn {
namespace {

/// Name of the node (option A) or the pair of nodes .0, .1 (projection) on the side branch.
struct Shortcut {
  std::string name;
  bool projects = true;  ///< by a 1x1 convolution; else option A
};

int conv_bn(Builder& b, const std::string& conv, const std::string& bn, int from, const ConvLayer& layer) {
  return b.batch_norm(bn, b.conv(conv, from, layer));
}

/// The input as the block's output needs it.
int side_branch(Builder& b, const std::string& name, int from, int64_t channels, int64_t stride,
                const Shortcut& shortcut) {
  if (stride == 1 && b.channels(from) == channels) return from;
  const std::string side = name + "." + shortcut.name;
  if (!shortcut.projects) return b.shortcut_a(side, from, channels, stride);
  return conv_bn(b, side + ".0", side + ".1", from, {.channels = channels, .kernel = 1, .stride = stride, .pad = 0});
}

int join(Builder& b, const std::string& name, int main, int side) {
  return b.relu(name + ".relu", b.add(name + ".add", main, side));
}

/// Formula: relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x))
int basic_block(Builder& b, const std::string& name, int from, int64_t channels, int64_t stride,
                const Shortcut& shortcut) {
  int x = conv_bn(b, name + ".conv1", name + ".bn1", from, {.channels = channels, .stride = stride});
  x = b.relu(name + ".relu1", x);
  x = conv_bn(b, name + ".conv2", name + ".bn2", x, {.channels = channels});
  return join(b, name, x, side_branch(b, name, from, channels, stride, shortcut));
}

/// 1x1 to `channels`, 3x3 with the stride, 1x1 to 4 * channels; added to the shortcut.
int bottleneck(Builder& b, const std::string& name, int from, int64_t channels, int64_t stride,
               const Shortcut& shortcut) {
  int x = conv_bn(b, name + ".conv1", name + ".bn1", from, {.channels = channels, .kernel = 1, .pad = 0});
  x = b.relu(name + ".relu1", x);
  x = conv_bn(b, name + ".conv2", name + ".bn2", x, {.channels = channels, .stride = stride});
  x = b.relu(name + ".relu2", x);
  x = conv_bn(b, name + ".conv3", name + ".bn3", x, {.channels = 4 * channels, .kernel = 1, .pad = 0});
  return join(b, name, x, side_branch(b, name, from, 4 * channels, stride, shortcut));
}

struct Stage {
  int64_t channels;
  int blocks;
};

/// The stages layer1, layer2, ...; all but the first halve the map. Then pooling and the linear layer.
template <class Block>
void stages_and_head(Builder& b, int x, const std::vector<Stage>& stages, Block block, const Shortcut& shortcut,
                     const std::string& head) {
  for (size_t s = 0; s < stages.size(); ++s) {
    for (int i = 0; i < stages[s].blocks; ++i) {
      const int64_t stride = s > 0 && i == 0 ? 2 : 1;
      x = block(b, fmt::format("layer{}.{}", s + 1, i), x, stages[s].channels, stride, shortcut);
    }
  }
  b.linear(head, b.global_avg_pool("avgpool", x), b.classes());
}

std::vector<Stage> wide_stages(int depth) {
  if (depth == 18) return {{64, 2}, {128, 2}, {256, 2}, {512, 2}};
  if (depth == 34 || depth == 50) return {{64, 3}, {128, 4}, {256, 6}, {512, 3}};
  input_error("resnet", "depth: wanted 18, 34 or 50, got {}", depth);
}

}  // namespace

Network resnet_thin(const std::string& name, int depth, int64_t input_size, int classes) {
  if (depth < 8 || depth % 6 != 2) input_error("resnet", "depth: wanted 6n + 2, got {}", depth);
  const int blocks = (depth - 2) / 6;
  Builder b(name, input_size, classes);
  const int x = b.relu("relu", conv_bn(b, "conv1", "bn1", kInput, {.channels = 16}));
  stages_and_head(b, x, {{16, blocks}, {32, blocks}, {64, blocks}}, basic_block, {"shortcut", false}, "linear");
  return b.take();
}

Network resnet_cifar(const std::string& name, int depth, int64_t input_size, int classes) {
  Builder b(name, input_size, classes);
  const int x = b.relu("relu", conv_bn(b, "conv1", "bn1", kInput, {.channels = 64}));
  stages_and_head(b, x, wide_stages(depth), basic_block, {"shortcut", true}, "linear");
  return b.take();
}

Network resnet_imagenet(const std::string& name, int depth, int64_t input_size, int classes) {
  Builder b(name, input_size, classes);
  int x = conv_bn(b, "conv1", "bn1", kInput, {.channels = 64, .kernel = 7, .stride = 2, .pad = 3});
  x = b.max_pool("maxpool", b.relu("relu", x), {.kernel = 3, .stride = 2, .pad = 1});
  const Shortcut shortcut{"downsample", true};
  if (depth < 50) {
    stages_and_head(b, x, wide_stages(depth), basic_block, shortcut, "fc");
  } else {
    stages_and_head(b, x, wide_stages(depth), bottleneck, shortcut, "fc");
  }
  return b.take();
}

}  // namespace kronbit::nn
