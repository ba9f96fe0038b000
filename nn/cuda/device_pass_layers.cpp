// What each kind of layer begins on a device, forward and, in the same function, backward.
#include "nn/cuda/device_operands.h"
#include "nn/cuda/device_pass.h"
#include "nn/ops/conv2d_gather.h"

namespace kronbit::nn {
namespace {

ConvGeometry geometry_of(const Conv2dOptions& o, int64_t height, int64_t width, int64_t images) {
  return {.height = static_cast<int>(height),
          .width = static_cast<int>(width),
          .images = static_cast<int>(images),
          .channels = static_cast<int>(o.in_channels),
          .outputs = static_cast<int>(o.out_channels),
          .kernel_h = static_cast<int>(o.kernel_h),
          .kernel_w = static_cast<int>(o.kernel_w),
          .stride = static_cast<int>(o.stride),
          .pad = static_cast<int>(o.pad)};
}

}  // namespace

NormLayer DevicePass::norm_layer(int norm_node, const Value& v) {
  const auto& op = dynamic_cast<const BatchNorm&>(*node(norm_node).op);
  if (training_) check_values_per_channel({v.height, v.width, images_, v.channels});
  parts_.want(static_cast<int64_t>(sum_parts(rows(v))) * 2 * v.pitch);
  norm_.want(3 * v.pitch);
  owner_.coefficients_.emplace_back(device_, 4 * v.pitch);
  return {.rows = rows(v),
          .channels = v.channels,
          .eps = op.options().eps,
          .momentum = op.options().momentum,
          .weight = parameter(norm_node, 0).value.data(),
          .bias = parameter(norm_node, 1).value.data(),
          .running_mean = parameter(norm_node, 2).value.data(),
          .running_var = parameter(norm_node, 3).value.data(),
          .coefficients = owner_.coefficients_.back().data()};
}

/// Convolution, normalization, sum and ReLU, as far as the step has them: conv_norm() of nn/ops/conv_norm.h.
void DevicePass::add_convolution(const Step& step) {
  const auto& layer = dynamic_cast<const Convolution&>(*node(step.conv).op);
  const int input = node(step.conv).inputs[0];
  make_value(step.node);
  const ConvGeometry whole = geometry_of(layer.options(), value(input).height, value(input).width, images_);
  const bool gathering = gathers(layer.options());
  const ConvGeometry g = gathering ? whole.gathered() : whole;
  const std::shared_ptr<const DeviceOperands> operands = layer.on_device(device_);
  const bool changes_input = operands && !operands->keeps_input();
  DeviceNetwork::Slot* w = &parameter(step.conv, 0);
  const bool has_norm = step.norm >= 0;
  const bool wants_dx = value(input).has_gradient;

  // What outlives the forward step: the rows gathered for the product, its result before normalization, the weights for
  // the way back.
  const auto gathered_rows = std::make_shared<DeviceArray<bf16>>();
  if (gathering) *gathered_rows = DeviceArray<bf16>(device_, static_cast<int64_t>(g.rows()) * g.pitch());
  const auto y = std::make_shared<DeviceArray<bf16>>();
  if (has_norm) *y = DeviceArray<bf16>(device_, static_cast<int64_t>(g.out_rows()) * g.out_pitch());
  const auto packed_back = std::make_shared<DeviceArray<bf16>>();
  if (wants_dx) *packed_back = DeviceArray<bf16>(device_, packed_weights(whole));
  packed_.want(packed_weights(g));
  if (changes_input) input_.want(numbers(value(input)));
  if (operands) fake_.want(static_cast<int64_t>(whole.outputs) * whole.channels * whole.taps());
  NormLayer norm;
  if (has_norm) {
    norm = norm_layer(step.norm, value(step.node));
    parts_.want(static_cast<int64_t>(conv_sum_parts(g)) * 2 * g.out_pitch());
  }
  // The operand of the product, made anew where it is needed.
  const auto product_input = [=, this]() -> const bf16* {
    const bf16* x = value(input).z.data();
    if (!changes_input) return x;
    operands->input(rows(value(input)), value(input).channels, x, input_.data(), queue_);
    return input_.data();
  };
  const int residual = step.residual;
  const bool relu = step.relu;
  const int out = step.node;
  push([=, this] {
    const float* weights = w->value.data();
    if (operands) {
      operands->weights(whole.outputs, whole.channels, whole.taps(), weights, fake_.data(), queue_);
      weights = fake_.data();
    }
    ops_.pack_weights(g, weights, packed_.data(),
                      gathering  ? nullptr
                      : wants_dx ? packed_back->data()
                                 : nullptr,
                      queue_);
    const bf16* x = product_input();
    if (gathering) {
      ops_.gather(whole, x, gathered_rows->data(), queue_);
      x = gathered_rows->data();
    }
    bf16* result = has_norm ? y->data() : value(out).z.data();
    ConvSums sums;
    if (has_norm && training_) sums = {norm.running_mean, parts_.data()};
    ops_.conv_forward(g, x, packed_.data(), result, sums, queue_);
    if (!has_norm) return;
    if (training_) {
      ops_.norm_finish(norm, parts_.data(), conv_sum_parts(g), norm.running_mean, queue_);
    } else {
      ops_.norm_fixed(norm, queue_);
    }
    ops_.normalize(norm, result, residual >= 0 ? value(residual).z.data() : nullptr, relu, value(out).z.data(), queue_);
  });

  DeviceNetwork::Slot *gamma = has_norm ? &parameter(step.norm, 0) : nullptr,
                      *beta = has_norm ? &parameter(step.norm, 1) : nullptr;
  backward([=, this] {
    gradient_.want(weight_gradient_workspace(g));
    const Share added = residual >= 0 ? claim(residual) : Share{};
    const Share below = claim(input);
    if (gathering && below)
      input_error("device", "{}: wanted a first convolution, got one further down", node(step.conv).name);
    if (added) dy_.want(numbers(value(out)));
    push([=, this] {
      bf16* dz = value(out).gradient.data();
      const bf16* dy = dz;
      if (has_norm) {
        bf16* to = added ? dy_.data() : dz;
        ops_.normalize_backward(norm, dz, relu ? value(out).z.data() : nullptr, y->data(), parts_.data(), norm_.data(),
                                to, added ? target(added) : nullptr, gamma->gradient.data(), beta->gradient.data(),
                                queue_);
        dy = to;
        add_up(added);
      }
      const bf16* x = gathering ? gathered_rows->data() : product_input();
      ops_.conv_backward_weights(g, dy, x, gradient_.data(), w->gradient.data(), queue_);
      if (!below) return;
      bf16* dx = target(below);
      ops_.conv_backward_data(whole, dy, packed_back->data(), dx, queue_);
      if (changes_input)
        operands->input_gradient(rows(value(input)), value(input).channels, value(input).z.data(), dx, queue_);
      add_up(below);
    });
  });
}

void DevicePass::add_norm(int n, int input) {
  const NormLayer norm = norm_layer(n, value(n));
  push([=, this] {
    if (training_) {
      ops_.norm_sums(norm, value(input).z.data(), norm.running_mean, parts_.data(), queue_);
      ops_.norm_finish(norm, parts_.data(), sum_parts(norm.rows), norm.running_mean, queue_);
    } else {
      ops_.norm_fixed(norm, queue_);
    }
    ops_.normalize(norm, value(input).z.data(), nullptr, false, value(n).z.data(), queue_);
  });
  DeviceNetwork::Slot *gamma = &parameter(n, 0), *beta = &parameter(n, 1);
  backward([=, this] {
    dy_.want(numbers(value(n)));
    const Share below = claim(input);
    push([=, this] {
      ops_.normalize_backward(norm, value(n).gradient.data(), nullptr, value(input).z.data(), parts_.data(),
                              norm_.data(), below ? target(below) : dy_.data(), nullptr, gamma->gradient.data(),
                              beta->gradient.data(), queue_);
      add_up(below);
    });
  });
}

void DevicePass::add_relu(int n, int input) {
  push([=, this] { ops_.relu(numbers(value(n)), value(input).z.data(), value(n).z.data(), queue_); });
  backward([=, this] {
    push_share(input, [=, this](bf16* to) {
      ops_.relu_backward(numbers(value(n)), value(n).gradient.data(), value(n).z.data(), to, queue_);
    });
  });
}

void DevicePass::add_sum(int n, int a, int b) {
  push([=, this] { ops_.add(numbers(value(n)), value(a).z.data(), value(b).z.data(), value(n).z.data(), queue_); });
  backward([=, this] {
    for (int input : {a, b})
      push_share(input, [=, this](bf16* to) {
        const Value& v = value(n);
        ops_.copy_channels({.x = v.gradient.data(),
                            .y = to,
                            .x_pitch = v.pitch,
                            .y_pitch = v.pitch,
                            .x_width = v.width,
                            .height = v.height,
                            .width = v.width,
                            .images = images(),
                            .channels = v.channels},
                           queue_);
      });
  });
}

PoolGeometry DevicePass::pool_geometry(int n, int input, const PoolOptions& options) {
  return {.height = value(input).height,
          .width = value(input).width,
          .images = images(),
          .channels = value(n).channels,
          .out_height = value(n).height,
          .out_width = value(n).width,
          .kernel = static_cast<int>(options.kernel),
          .stride = static_cast<int>(options.stride),
          .pad = static_cast<int>(options.pad),
          .count_include_pad = options.count_include_pad};
}

void DevicePass::add_max_pool(int n, int input, const PoolOptions& options) {
  const PoolGeometry g = pool_geometry(n, input, options);
  const auto index = std::make_shared<DeviceArray<uint8_t>>();
  if (training_) *index = DeviceArray<uint8_t>(device_, numbers(value(n)));
  push([=, this] {
    ops_.max_pool(g, value(input).z.data(), value(n).z.data(), training_ ? index->data() : nullptr, queue_);
  });
  backward([=, this] {
    push_share(input,
               [=, this](bf16* to) { ops_.max_pool_backward(g, value(n).gradient.data(), index->data(), to, queue_); });
  });
}

/// options null: over the whole map.
void DevicePass::add_avg_pool(int n, int input, const PoolOptions* options) {
  const bool global = options == nullptr;
  const PoolGeometry g = pool_geometry(n, input, global ? PoolOptions{} : *options);
  const auto run = global ? ops_.global_avg_pool : ops_.avg_pool;
  const auto back = global ? ops_.global_avg_pool_backward : ops_.avg_pool_backward;
  push([=, this] { run(g, value(input).z.data(), value(n).z.data(), queue_); });
  backward([=, this] { push_share(input, [=, this](bf16* to) { back(g, value(n).gradient.data(), to, queue_); }); });
}

/// `to` and `back` lack their pointers.
void DevicePass::add_copy(int n, int input, const ChannelCopy& to, const ChannelCopy& back) {
  push([=, this] {
    ChannelCopy copy = to;
    copy.x = value(input).z.data();
    copy.y = value(n).z.data();
    ops_.copy_channels(copy, queue_);
  });
  backward([=, this] {
    push_share(input, [=, this](bf16* where) {
      ChannelCopy copy = back;
      copy.x = value(n).gradient.data();
      copy.y = where;
      ops_.copy_channels(copy, queue_);
    });
  });
}

void DevicePass::add_concat(int n) {
  int first = 0;
  for (int input : node(n).inputs) {
    const Value &x = value(input), &y = value(n);
    ChannelCopy to{.x_pitch = x.pitch,
                   .y_pitch = y.pitch,
                   .x_width = x.width,
                   .height = y.height,
                   .width = y.width,
                   .images = images(),
                   .first = first,
                   .channels = x.channels,
                   .keep = first > 0};
    ChannelCopy back = to;
    std::swap(back.x_pitch, back.y_pitch);
    std::swap(back.first, back.x_first);
    back.keep = false;
    add_copy(n, input, to, back);
    first += x.channels;
  }
}

void DevicePass::add_shortcut(int n, int input, int stride) {
  const Value &x = value(input), &y = value(n);
  const int first = (y.channels - x.channels) / 2;
  add_copy(n, input,
           {.x_pitch = x.pitch,
            .y_pitch = y.pitch,
            .x_width = x.width,
            .height = y.height,
            .width = y.width,
            .images = images(),
            .first = first,
            .channels = x.channels,
            .stride = stride},
           {.x_pitch = y.pitch,
            .y_pitch = x.pitch,
            .x_width = y.width,
            .height = x.height,
            .width = x.width,
            .images = images(),
            .x_first = first,
            .channels = x.channels,
            .stride = -stride});
}

void DevicePass::add_flatten(int n, int input) {
  const FlattenGeometry g{value(input).height * value(input).width, images(), value(input).channels};
  push([=, this] { ops_.flatten(g, value(input).z.data(), value(n).z.data(), queue_); });
  backward([=, this] {
    push_share(input, [=, this](bf16* to) { ops_.unflatten(g, value(n).gradient.data(), to, queue_); });
  });
}

/// The last layer: its result stays in f32, and the loss follows.
void DevicePass::add_linear(int n, int input) {
  if (n + 1 != std::ssize(owner_.net_.nodes()))
    input_error("device", "{}: wanted one linear layer, at the end of the network", node(n).name);
  const LinearGeometry g{images(), value(input).channels, static_cast<int>(node(n).shape[3])};
  logits_pitch_ = channels_pitch(g.outputs);
  logits_ = DeviceArray<float>(device_, images_ * logits_pitch_);
  DeviceNetwork::Slot *w = &parameter(n, 0), *b = &parameter(n, 1);
  push([=, this] { ops_.linear(g, value(input).z.data(), w->value.data(), b->value.data(), logits_.data(), queue_); });
  if (!training_) return;
  dlogits_ = DeviceArray<float>(device_, images_ * logits_pitch_);
  labels_ = DeviceArray<int>(device_, images_);
  tally_ = DeviceArray<LossTally>(device_, 1);
  loss_workspace_ = DeviceArray<std::byte>(device_, images_ * static_cast<int64_t>(sizeof(double) + 2 * sizeof(int)));
  push([=, this] {
    ops_.cross_entropy(images(), g.outputs, logits_.data(), labels_.data(), smoothing_, dlogits_.data(),
                       loss_workspace_.data(), tally_.data(), queue_);
  });
  backward([=, this] {
    const Share below = claim(input);
    share_.want(numbers(value(input)));
    push([=, this] {
      ops_.linear_backward(g, dlogits_.data(), value(input).z.data(), w->value.data(),
                           below ? target(below) : share_.data(), w->gradient.data(), b->gradient.data(), queue_);
      add_up(below);
    });
  });
}

}  // namespace kronbit::nn
