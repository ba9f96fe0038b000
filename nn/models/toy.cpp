#include "nn/models/toy.h"

#include "nn/models/builder.h"

namespace kronbit::nn {

Network toy_cifar(const std::string& name, int64_t input_size, int classes) {
  struct Stage {
    int convolutions;
    int64_t channels;
  };
  Builder b(name, input_size, classes);
  int next = 0;
  const auto feature = [&next] { return fmt::format("features.{}", next++); };
  int x = kInput;
  for (const Stage& stage : {Stage{3, 16}, Stage{4, 32}, Stage{3, 64}}) {
    if (x != kInput) x = b.max_pool(feature(), x, {});
    for (int i = 0; i < stage.convolutions; ++i) {
      x = b.conv(feature(), x, {.channels = stage.channels});
      x = b.batch_norm(feature(), x);
      x = b.relu(feature(), x);
    }
  }
  x = b.global_avg_pool(feature(), x);
  b.linear("classifier", x, classes);
  return b.take();
}

}  // namespace kronbit::nn
