#include "nn/models/builder.h"

#include "nn/ops/add.h"
#include "nn/ops/batch_norm.h"
#include "nn/ops/concat.h"
#include "nn/ops/conv2d.h"
#include "nn/ops/dropout.h"
#include "nn/ops/flatten.h"
#include "nn/ops/global_avg_pool.h"
#include "nn/ops/linear.h"
#include "nn/ops/max_pool.h"
#include "nn/ops/relu.h"
#include "nn/ops/shortcut_a.h"

namespace kronbit::nn {

int Builder::conv(const std::string& name, int from, const ConvLayer& layer) {
  const Conv2dOptions options{.in_channels = channels(from),
                              .out_channels = layer.channels,
                              .kernel_h = layer.kernel,
                              .kernel_w = layer.kernel,
                              .stride = layer.stride,
                              .pad = layer.pad};
  return net_.add(name, std::make_shared<Conv2d>(options), {from});
}
int Builder::batch_norm(const std::string& name, int from, double eps) {
  return net_.add(name, std::make_shared<BatchNorm>(channels(from), BatchNormOptions{.eps = eps}), {from});
}
int Builder::relu(const std::string& name, int from) { return net_.add(name, std::make_shared<Relu>(), {from}); }
int Builder::max_pool(const std::string& name, int from, const PoolOptions& options) {
  return net_.add(name, std::make_shared<MaxPool>(options), {from});
}
int Builder::global_avg_pool(const std::string& name, int from) {
  return net_.add(name, std::make_shared<GlobalAvgPool>(), {from});
}
int Builder::shortcut_a(const std::string& name, int from, int64_t out_channels, int64_t stride) {
  return net_.add(name, std::make_shared<ShortcutA>(out_channels, stride), {from});
}
int Builder::add(const std::string& name, int a, int b) { return net_.add(name, std::make_shared<Add>(), {a, b}); }
int Builder::concat(const std::string& name, const std::vector<int>& parts) {
  return net_.add(name, std::make_shared<Concat>(), parts);
}
int Builder::dropout(const std::string& name, int from, double probability) {
  return net_.add(name, std::make_shared<Dropout>(probability, net_.nodes().size()), {from});
}
int Builder::flatten(const std::string& name, int from) { return net_.add(name, std::make_shared<Flatten>(), {from}); }
int Builder::linear(const std::string& name, int from, int64_t outputs) {
  return net_.add(name, std::make_shared<Linear>(channels(from), outputs), {from});
}

}  // namespace kronbit::nn
