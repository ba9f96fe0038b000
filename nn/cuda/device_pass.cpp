#include "nn/cuda/device_pass.h"

#include "nn/ops/avg_pool.h"
#include "nn/ops/max_pool.h"
#include "nn/ops/shortcut_a.h"

namespace kronbit::nn {

DevicePass::DevicePass(DeviceNetwork& owner, int64_t images, bool training)
    : owner_(owner),
      device_(owner.device_),
      ops_(device_ops(device_)),
      queue_{device_.stream(), false},
      images_(images),
      training_(training) {
  const Network& net = owner.net_;
  values_.resize(net.nodes().size());
  make_value(0);
  value(0).has_gradient = false;
  for (const Step& step : steps(net, true)) add_step(step);
  settle();
  making_backward_ = true;
  for (auto make = makers_.rbegin(); make != makers_.rend(); ++make) (*make)();
  for (auto* scratch : {&input_, &share_, &dy_, &packed_}) scratch->settle(device_);
  for (auto* scratch : {&parts_, &norm_, &gradient_, &fake_}) scratch->settle(device_);
}

DeviceNetwork::Slot& DevicePass::parameter(int n, size_t i) {
  return owner_.slots_[static_cast<size_t>(node(n).parameters[i])];
}

void DevicePass::make_value(int n) {
  Value& v = value(n);
  const Shape& shape = node(n).shape;
  v.height = static_cast<int>(shape[0]);
  v.width = static_cast<int>(shape[1]);
  v.channels = static_cast<int>(shape[3]);
  v.pitch = channels_pitch(v.channels);
  v.z = DeviceArray<bf16>(device_, numbers(v));
  v.has_gradient = training_ && n > 0;
  if (v.has_gradient) v.gradient = DeviceArray<bf16>(device_, numbers(v));
}

void DevicePass::add_step(const Step& step) {
  if (step.conv >= 0) return add_convolution(step);
  const int n = step.node;
  const Op& op = *node(n).op;
  const std::string_view kind = op.kind();
  if (dynamic_cast<const Convolution*>(&op) != nullptr) return add_convolution({.node = n, .conv = n});
  const int input = node(n).inputs[0];
  if (kind == "linear") return add_linear(n, input);
  if (kind == "dropout") {  // nothing happens outside training
    value(n) = value(input);
    return;
  }
  make_value(n);
  if (kind == "batch_norm") {
    add_norm(n, input);
  } else if (kind == "relu") {
    add_relu(n, input);
  } else if (kind == "add") {
    add_sum(n, input, node(n).inputs[1]);
  } else if (const auto* max = dynamic_cast<const MaxPool*>(&op)) {
    add_max_pool(n, input, max->options());
  } else if (const auto* avg = dynamic_cast<const AvgPool*>(&op)) {
    add_avg_pool(n, input, &avg->options());
  } else if (kind == "global_avg_pool") {
    add_avg_pool(n, input, nullptr);
  } else if (kind == "concat") {
    add_concat(n);
  } else if (const auto* shortcut = dynamic_cast<const ShortcutA*>(&op)) {
    add_shortcut(n, input, static_cast<int>(shortcut->stride()));
  } else if (kind == "flatten") {
    add_flatten(n, input);
  } else {
    input_error("device", "{}: wanted an operator that runs on a GPU, got {}", node(n).name, kind);
  }
}

DevicePass::Share DevicePass::claim(int n) {
  Value& v = value(n);
  if (!v.has_gradient) return {};
  const Share share{n, !v.claimed};
  v.claimed = true;
  if (!share.first) share_.want(numbers(v));
  return share;
}

void DevicePass::add_up(const Share& share) {
  if (!share || share.first) return;
  const Value& v = value(share.node);
  bf16* sum = value(share.node).gradient.data();
  ops_.add(numbers(v), sum, share_.data(), sum, queue_);
}

void DevicePass::push_share(int input, const std::function<void(bf16* to)>& write) {
  const Share share = claim(input);
  if (!share) return;
  push([=, this] {
    write(target(share));
    add_up(share);
  });
}

void DevicePass::settle() {
  if (logits_pitch_ == 0) input_error("device", "wanted a network that ends with a linear layer");
  if (!training_) return;
  std::vector<SgdParameter> list;
  for (DeviceNetwork::Slot& slot : owner_.slots_) {
    if (slot.gradient.count() == 0) continue;
    list.push_back({slot.value.data(), slot.gradient.data(), slot.velocity.count() > 0 ? slot.velocity.data() : nullptr,
                    slot.value.count()});
    update_largest_ = std::max(update_largest_, slot.value.count());
  }
  update_list_ = DeviceArray<SgdParameter>(device_, list);
  update_numbers_ = DeviceArray<SgdNumbers>(device_, 1);
  squares_ = DeviceArray<double>(device_, 1);
  squares_workspace_ = DeviceArray<double>(device_, gradient_squares_workspace(static_cast<int>(list.size())));
}

void DevicePass::put(const Tensor& images) {
  const Tensor x = images.to(DType::BF16);
  KB_CHECK_EQ(x.stored(), numbers(value(0)));
  device_.upload(value(0).z.data(), x.data<bf16>(), static_cast<size_t>(x.bytes()));
}

void DevicePass::put(const ImageSet& set, const std::vector<CropChoice>& choices) {
  KB_CHECK_EQ(std::ssize(choices), images_);
  if (choices_.count() == 0) choices_ = DeviceArray<CropChoice>(device_, images_);
  choices_.upload(choices.data());
  ops_.crop_images(set, choices_.data(), images(), value(0).z.data(), queue_);
}

void DevicePass::run(const std::vector<int>& labels, double label_smoothing) {
  if (!recorded_ || smoothing_ != label_smoothing) {
    smoothing_ = label_smoothing;
    recorded_ = device_.record([this] { begin(); });
  }
  if (training_) {
    KB_CHECK_EQ(std::ssize(labels), images_);
    labels_.upload(labels.data());
    tally_.zero();
  }
  device_.replay(recorded_);
}

void DevicePass::begin() {
  for (const Work& work : forward_) work();
  for (const Work& work : backward_) work();
  if (training_)
    ops_.gradient_squares(update_list_.data(), static_cast<int>(update_list_.count()), squares_workspace_.data(),
                          squares_.data(), queue_);
}

LossTally DevicePass::tally() const { return tally_.values()[0]; }

Tensor DevicePass::logits() const {
  const std::vector<float> all = logits_.values();
  const int64_t classes = owner_.net_.classes();
  Tensor y = Tensor::activation(1, 1, images_, classes);
  for (int64_t n = 0; n < images_; ++n) std::copy_n(all.data() + n * logits_pitch_, classes, y.row<float>(n));
  return y;
}

void DevicePass::update(const Sgd& rule, double lr, double max_norm) {
  const SgdNumbers numbers{static_cast<float>(lr),
                           static_cast<float>(rule.momentum),
                           static_cast<float>(rule.weight_decay),
                           rule.nesterov ? 1 : 0,
                           squares_.data(),
                           max_norm};
  update_numbers_.upload(&numbers);
  ops_.sgd(update_list_.data(), static_cast<int>(update_list_.count()), update_largest_, update_numbers_.data(),
           queue_);
}

}  // namespace kronbit::nn
