// What the model builders share: each layer in one call, its input channels and shape taken from the network so far.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "nn/network.h"
#include "nn/ops/pool.h"

namespace kronbit::nn {

/// A convolution without bias; the batch normalization behind it shifts its output anyway.
struct ConvLayer {
  int64_t channels = 0;  ///< of the output
  int64_t kernel = 3;
  int64_t stride = 1;
  int64_t pad = 1;
};

/// A network under construction. Every function appends one node reading node `from` and returns its index.
class Builder {
 public:
  Builder(const std::string& name, int64_t input_size, int classes) : net_(name, input_size, input_size, 3, classes) {}

  int conv(const std::string& name, int from, const ConvLayer& layer);
  int batch_norm(const std::string& name, int from, double eps = 1e-5);
  int relu(const std::string& name, int from);
  int max_pool(const std::string& name, int from, const PoolOptions& options);
  int global_avg_pool(const std::string& name, int from);
  int shortcut_a(const std::string& name, int from, int64_t channels, int64_t stride);
  int add(const std::string& name, int a, int b);
  int concat(const std::string& name, const std::vector<int>& parts);
  int dropout(const std::string& name, int from, double probability);
  int flatten(const std::string& name, int from);
  int linear(const std::string& name, int from, int64_t outputs);

  int64_t channels(int node) const { return net_.nodes()[static_cast<size_t>(node)].shape[3]; }
  int classes() const { return net_.classes(); }
  Network take() { return std::move(net_); }

 private:
  Network net_;
};

/// Index of the input node.
inline constexpr int kInput = 0;

}  // namespace kronbit::nn
