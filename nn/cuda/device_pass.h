// The plan behind device_network.h for one number of images: buffers, and the kernels that a forward pass or a step of
// training begins, in order. Nothing is allocated once it is built.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <vector>

#include "nn/cuda/device_network.h"
#include "nn/cuda/device_ops.h"
#include "nn/fusion.h"
#include "nn/ops/batch_norm.h"
#include "nn/ops/conv2d.h"
#include "nn/ops/pool.h"

namespace kronbit::nn {

class DevicePass {
 public:
  DevicePass(DeviceNetwork& owner, int64_t images, bool training);

  /// Brings the images there: [H][W][N][C] f32, or cut out of a set that is there.
  void put(const Tensor& images);
  void put(const ImageSet& set, const std::vector<CropChoice>& choices);
  /// Begins the pass on them; training: with these labels.
  void run(const std::vector<int>& labels, double label_smoothing);
  /// Begins it again on what is there.
  void repeat() { device_.replay(recorded_); }
  /// After run(), training: what was seen. Waits.
  LossTally tally() const;
  /// After run(): [1][1][N][classes]. Waits.
  Tensor logits() const;
  /// After run(), training: the sum of all squared gradients. Waits.
  double gradient_squares() const { return squares_.values()[0]; }
  /// Begins the update of all parameters; max_norm 0: gradients are not limited.
  void update(const Sgd& rule, double lr, double max_norm);

 private:
  using Work = std::function<void()>;
  /// An activation and its gradient, of the node that makes it.
  struct Value {
    int height = 0, width = 0, channels = 0, pitch = 0;
    DeviceArray<bf16> z, gradient;
    bool has_gradient = false;  ///< something below it is trained
    bool claimed = false;       ///< while backward steps are made: a reader has written its share of the gradient
  };
  /// Memory that steps use one after another: as much as the greediest wants.
  template <class T>
  struct Scratch {
    int64_t count = 0;
    DeviceArray<T> memory;
    void want(int64_t n) { count = std::max(count, n); }
    void settle(Device& device) { memory = DeviceArray<T>(device, count); }
    T* data() { return memory.data(); }
  };
  /// Where a reader of a node's value leaves its share of the gradient: in place, or, where another reader was before
  /// it, in scratch memory, which is then added.
  struct Share {
    int node = -1;  ///< -1: nobody wants it
    bool first = false;
    explicit operator bool() const { return node >= 0; }
  };

  Value& value(int node) { return values_[static_cast<size_t>(node)]; }
  const Node& node(int i) const { return owner_.net_.nodes()[static_cast<size_t>(i)]; }
  int images() const { return static_cast<int>(images_); }
  int64_t rows(const Value& v) const { return static_cast<int64_t>(v.height) * v.width * images_; }
  int64_t numbers(const Value& v) const { return rows(v) * v.pitch; }
  DeviceNetwork::Slot& parameter(int node, size_t i);

  void make_value(int node);
  void add_step(const Step& step);
  void add_convolution(const Step& step);
  NormLayer norm_layer(int norm_node, const Value& v);
  void add_norm(int node, int input);
  void add_relu(int node, int input);
  void add_sum(int node, int a, int b);
  void add_max_pool(int node, int input, const PoolOptions& options);
  void add_avg_pool(int node, int input, const PoolOptions* options);
  void add_copy(int node, int input, const ChannelCopy& to, const ChannelCopy& back);
  void add_concat(int node);
  void add_shortcut(int node, int input, int stride);
  void add_flatten(int node, int input);
  void add_linear(int node, int input);
  void settle();
  void begin();

  PoolGeometry pool_geometry(int node, int input, const PoolOptions& options);
  Share claim(int node);
  bf16* target(const Share& share) { return share.first ? value(share.node).gradient.data() : share_.data(); }
  void push(Work work) { (making_backward_ ? backward_ : forward_).push_back(std::move(work)); }
  /// The share of `input`, written by `write` and added where needed; nothing where nobody wants it.
  void push_share(int input, const std::function<void(bf16* to)>& write);
  void add_up(const Share& share);
  /// Keeps what makes the backward steps of a node: they are made when all nodes are known, last node first.
  void backward(Work make) {
    if (training_) makers_.push_back(std::move(make));
  }

  DeviceNetwork& owner_;
  Device& device_;
  const DeviceOps& ops_;
  DeviceQueue queue_;
  int64_t images_;
  bool training_, making_backward_ = false;
  std::vector<Value> values_;
  std::vector<Work> forward_, backward_, makers_;
  Scratch<bf16> input_, share_, dy_, packed_;
  Scratch<float> parts_, norm_, gradient_, fake_;
  DeviceArray<CropChoice> choices_;
  DeviceArray<int> labels_;
  DeviceArray<float> logits_, dlogits_;
  int logits_pitch_ = 0;
  double smoothing_ = 0;
  std::shared_ptr<void> recorded_;  // forward, backward and the squares of the gradients, with this smoothing
  DeviceArray<LossTally> tally_;
  DeviceArray<std::byte> loss_workspace_;
  DeviceArray<SgdParameter> update_list_;
  DeviceArray<SgdNumbers> update_numbers_;
  DeviceArray<double> squares_, squares_workspace_;
  int64_t update_largest_ = 0;
};

}  // namespace kronbit::nn
