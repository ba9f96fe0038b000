#include "quant/engine/device/device_plan.h"

#include <algorithm>
#include <array>

#include "nn/fusion.h"
#include "nn/ops/avg_pool.h"
#include "nn/ops/max_pool.h"
#include "nn/ops/shortcut_a.h"
#include "quant/engine/device/device_choice.h"
#include "quant/packed_conv2d.h"

namespace kronbit::quant {
namespace {

constexpr int64_t kInputPitch = 4;

int64_t aligned(int64_t bytes) { return (bytes + 255) / 256 * 256; }

const DeviceSteps& device_steps(const Device& device) {
  return device.simulated() ? simulated::kDeviceSteps : KB_GPU_SIDE::kDeviceSteps;
}

/// What follows a product of rows, as Epilogue in steps.h.
struct DeviceEpilogue {
  const float *scale = nullptr, *shift = nullptr;
  int residual = -1;
  bool relu = false;
  bool nothing() const { return scale == nullptr && residual < 0 && !relu; }
};

}  // namespace

/// Builds a plan node by node; where buffers are and how long they live is settled at the end.
class DevicePlanner {
 public:
  DevicePlanner(DevicePlan& plan, const nn::Network& net, const DeviceEngineOptions& options,
                DeviceConstants& constants)
      : plan_(plan), net_(net), constants_(constants), chooser_(plan.device_, options) {
    value_of_.assign(net.nodes().size(), -1);
    plan.choices_.resize(net.convolutions().size());
    const Shape& image = net.input_shape();
    value_of_[0] = add_value({image[0], image[1], image[3], kInputPitch, -1, {}});
    last_use_[0] = 0;
  }

  void build() {
    for (const nn::Step& step : nn::steps(net_, true, "channel_affine")) add_step(step);
    plan_.output_ = value_of_.back();
    used(plan_.output_);
    settle();
    plan_.forced_used_ = chooser_.forced_was_used();
  }

 private:
  Device& device() { return plan_.device_; }
  const DeviceSteps& kernels() { return device_steps(plan_.device_); }
  const nn::Node& node(int i) const { return net_.nodes()[static_cast<size_t>(i)]; }
  const Value& value(int v) const { return plan_.values_[static_cast<size_t>(v)]; }
  int value_of(int n) const { return value_of_[static_cast<size_t>(n)]; }
  const Tensor& parameter(const nn::Node& n, size_t i) const {
    return net_.parameters()[static_cast<size_t>(n.parameters[i])].var.value();
  }
  int images() const { return static_cast<int>(plan_.images_); }
  int64_t rows_of(int v) const { return value(v).pixels() * plan_.images_; }

  /// The numbers on the device, then zeros up to whole blocks of 32.
  const float* lanes_of(const std::string& name, const Tensor& numbers) {
    return constants_.get(name, [&] {
      std::vector<float> lanes(static_cast<size_t>((numbers.count() + 31) / 32 * 32), 0.0f);
      std::copy_n(numbers.data<float>(), numbers.count(), lanes.begin());
      return lanes;
    });
  }

  int add_value(Value value) {
    plan_.values_.push_back(std::move(value));
    first_use_.push_back(next_step());
    last_use_.push_back(next_step());
    return static_cast<int>(plan_.values_.size()) - 1;
  }
  int add_output(int n) {
    const Shape& shape = node(n).shape;
    return value_of_[static_cast<size_t>(n)] =
               add_value({shape[0], shape[1], shape[3], 32 * ((shape[3] + 31) / 32), -1, {}});
  }
  int next_step() const { return static_cast<int>(plan_.steps_.size()); }
  int used(int v) {
    last_use_[static_cast<size_t>(v)] = std::max(last_use_[static_cast<size_t>(v)], next_step());
    return v;
  }
  template <class Run>
  void push(Run run) {
    plan_.steps_.emplace_back(std::move(run));
  }

  DeviceEpilogue affine(int n) {
    DeviceEpilogue e;
    e.scale = lanes_of(node(n).name + ".scale", parameter(node(n), 0));
    e.shift = lanes_of(node(n).name + ".shift", parameter(node(n), 1));
    return e;
  }

  void add_step(const nn::Step& step) {
    if (step.conv >= 0) {
      DeviceEpilogue epilogue = affine(step.norm);
      if (step.residual >= 0) epilogue.residual = value_of(step.residual);
      epilogue.relu = step.relu;
      return add_convolution(step.conv, step.node, epilogue);
    }
    const int n = step.node;
    const nn::Op& op = *node(n).op;
    const std::string_view kind = op.kind();
    if (kind == "dsconv") return add_convolution(n, n, {});
    if (kind == "dropout") {  // nothing happens outside training
      value_of_[static_cast<size_t>(n)] = value_of(node(n).inputs[0]);
      return;
    }
    std::vector<int> inputs;
    for (int input : node(n).inputs) inputs.push_back(used(value_of(input)));
    const int x = inputs[0], y = add_output(n);
    if (kind == "channel_affine" || kind == "relu" || kind == "add") {
      DeviceEpilogue epilogue;
      if (kind == "channel_affine") epilogue = affine(n);
      if (kind == "add") epilogue.residual = inputs[1];
      epilogue.relu = kind == "relu";
      push_rowwise(x, y, epilogue);
    } else if (const auto* max = dynamic_cast<const nn::MaxPool*>(&op)) {
      push_pool(n, x, y, max->options(), true);
    } else if (const auto* avg = dynamic_cast<const nn::AvgPool*>(&op)) {
      push_pool(n, x, y, avg->options(), false);
    } else if (kind == "global_avg_pool") {
      const auto height = static_cast<int>(value(x).height), width = static_cast<int>(value(x).width);
      push_windows(n, x, y, {{0, height, height}}, {{0, width, width}}, false, true);
    } else if (kind == "concat") {
      push_concat(inputs, y);
    } else if (const auto* shortcut = dynamic_cast<const nn::ShortcutA*>(&op)) {
      push_zeros(y);
      push_gather(x, y, static_cast<int>(shortcut->stride()),
                  static_cast<int>((value(y).channels - value(x).channels) / 2));
    } else if (kind == "flatten") {
      push_flatten(x, y);
    } else {
      KB_CHECK(kind == "linear");  // DevicePlan::check() lets no other pass
      push_linear(n, x, y);
    }
  }

  void push_rowwise(int x, int y, const DeviceEpilogue& e) {
    used(x);
    if (e.residual >= 0) used(e.residual);
    push([this_ = &plan_, x, y, e, rows = rows_of(y), lanes = static_cast<int>(value(y).pitch)] {
      device_steps(this_->device_)
          .rowwise({this_->numbers(x), e.scale, e.shift, e.residual < 0 ? nullptr : this_->numbers(e.residual),
                    this_->numbers(y), rows, lanes, e.relu},
                   this_->device_.stream());
    });
  }

  void push_pool(int n, int x, int y, const nn::PoolOptions& options, bool maximum) {
    const auto windows = [&](int64_t out, int64_t extent) {
      std::vector<DeviceWindow> list;
      for (int64_t i = 0; i < out; ++i) {
        const nn::PoolWindow w = nn::pool_window(i, extent, options);
        list.push_back({static_cast<int>(w.begin), static_cast<int>(w.end), static_cast<int>(w.padded_length)});
      }
      return list;
    };
    push_windows(n, x, y, windows(value(y).height, value(x).height), windows(value(y).width, value(x).width), maximum,
                 options.count_include_pad);
  }

  void push_windows(int n, int x, int y, const std::vector<DeviceWindow>& down, const std::vector<DeviceWindow>& across,
                    bool maximum, bool count_include_pad) {
    const PoolStep step{.x = nullptr,
                        .y = nullptr,
                        .down = constants_.get(node(n).name + ".down", [&] { return down; }),
                        .across = constants_.get(node(n).name + ".across", [&] { return across; }),
                        .width = static_cast<int>(value(x).width),
                        .out_height = static_cast<int>(value(y).height),
                        .out_width = static_cast<int>(value(y).width),
                        .lanes = plan_.images_ * value(x).pitch,
                        .maximum = maximum,
                        .count_include_pad = count_include_pad};
    push([this_ = &plan_, x, y, step] {
      PoolStep s = step;
      s.x = this_->numbers(x);
      s.y = this_->numbers(y);
      device_steps(this_->device_).pool(s, this_->device_.stream());
    });
  }

  void push_zeros(int y) {
    push([this_ = &plan_, y, bytes = static_cast<size_t>(rows_of(y) * value(y).pitch) * sizeof(float)] {
      this_->device_.zero(this_->numbers(y), bytes);
    });
  }

  void push_gather(int x, int y, int stride, int first) {
    used(x);
    used(y);
    const GatherStep step{.x = nullptr,
                          .y = nullptr,
                          .x_pitch = value(x).pitch,
                          .y_pitch = value(y).pitch,
                          .width = static_cast<int>(value(x).width),
                          .images = images(),
                          .out_height = static_cast<int>(value(y).height),
                          .out_width = static_cast<int>(value(y).width),
                          .stride = stride,
                          .channels = static_cast<int>(value(x).channels),
                          .first = first};
    push([this_ = &plan_, x, y, step] {
      GatherStep s = step;
      s.x = this_->numbers(x);
      s.y = this_->numbers(y);
      device_steps(this_->device_).gather(s, this_->device_.stream());
    });
  }

  void push_concat(const std::vector<int>& inputs, int y) {
    push_zeros(y);
    int first = 0;
    for (int x : inputs) {
      push_gather(x, y, 1, first);
      first += static_cast<int>(value(x).channels);
    }
  }

  void push_flatten(int x, int y) {
    push_zeros(y);
    used(x);
    used(y);
    push([this_ = &plan_, x, y, n = images()] {
      const Value &in = this_->values_[static_cast<size_t>(x)], &out = this_->values_[static_cast<size_t>(y)];
      device_steps(this_->device_)
          .flatten({this_->numbers(x), this_->numbers(y), in.pitch, out.pitch, static_cast<int>(in.pixels()), n,
                    static_cast<int>(in.channels)},
                   this_->device_.stream());
    });
  }

  /// weights [O][C] or [O][C][taps], to [tap][channel][lanes].
  static std::vector<float> dense_weights(const float* weights, int64_t outputs, int64_t channels, int64_t taps) {
    const int64_t lanes = (outputs + 31) / 32 * 32;
    std::vector<float> all(static_cast<size_t>(taps * channels * lanes), 0.0f);
    for (int64_t o = 0; o < outputs; ++o)
      for (int64_t c = 0; c < channels; ++c)
        for (int64_t t = 0; t < taps; ++t)
          all[static_cast<size_t>((t * channels + c) * lanes + o)] = weights[(o * channels + c) * taps + t];
    return all;
  }

  void push_dense(int x, int y, DenseStep step) {
    used(x);
    step.x_pitch = value(x).pitch;
    step.images = images();
    step.out_lanes = static_cast<int>(value(y).pitch);
    push([this_ = &plan_, x, y, step] {
      DenseStep s = step;
      s.x = this_->numbers(x);
      s.y = this_->numbers(y);
      device_steps(this_->device_).dense(s, this_->device_.stream());
    });
  }

  void push_linear(int n, int x, int y) {
    const Tensor &weights = parameter(node(n), 0), &bias = parameter(node(n), 1);
    const int64_t outputs = weights.shape()[0], depth = weights.shape()[1];
    const std::string& name = node(n).name;
    DenseStep step{};
    step.w = constants_.get(name + ".weight", [&] { return dense_weights(weights.data<float>(), outputs, depth, 1); });
    step.channels = static_cast<int>(depth);
    step.height = step.width = step.out_height = step.out_width = step.kernel_h = step.kernel_w = step.stride = 1;
    push_dense(x, y, step);
    DeviceEpilogue add_bias;
    add_bias.scale =
        constants_.get(name + ".ones", [&] { return std::vector<float>(static_cast<size_t>(value(y).pitch), 1.0f); });
    add_bias.shift = lanes_of(name + ".bias", bias);
    push_rowwise(y, y, add_bias);
  }

  void add_convolution(int conv, int last, const DeviceEpilogue& epilogue) {
    const auto& op = dynamic_cast<const PackedConv2d&>(*node(conv).op);
    const int input = value_of(node(conv).inputs[0]);
    const std::vector<int> list = net_.convolutions();
    LayerChoice& choice = plan_.choices_[static_cast<size_t>(std::find(list.begin(), list.end(), conv) - list.begin())];
    const DsConvOptions& q = op.quantization();
    const DeviceConv site{.layer = {.outputs = op.options().out_channels,
                                    .channels = op.options().in_channels,
                                    .taps = op.options().kernel_h * op.options().kernel_w,
                                    .bits = q.bits,
                                    .mode = op.layer().mode,
                                    .activations = q.input_format()},
                          .conv = op.options(),
                          .height = value(input).height,
                          .width = value(input).width,
                          .images = plan_.images_};
    const int output = add_output(last);
    if (q.quantize_input) {
      choice = push_block_conv(node(conv).name, site, op.layer(), input, output);
    } else {
      push_dense_conv(node(conv).name, site, op.layer(), input, output);
      choice = {node(conv).name, q.bits, "dense", 0, "", 0};
    }
    if (!epilogue.nothing()) push_rowwise(output, output, epilogue);
  }

  void push_dense_conv(const std::string& name, const DeviceConv& site, const PackedLayer& layer, int x, int y) {
    DenseStep step{};
    step.w = constants_.get(name + ".weight", [&] {
      const Tensor w = dequantize(unpack(layer));
      return dense_weights(w.data<float>(), site.layer.outputs, site.layer.channels, site.layer.taps);
    });
    step.channels = static_cast<int>(site.layer.channels);
    step.height = static_cast<int>(site.height);
    step.width = static_cast<int>(site.width);
    step.out_height = static_cast<int>(site.out_height());
    step.out_width = static_cast<int>(site.out_width());
    step.kernel_h = static_cast<int>(site.conv.kernel_h);
    step.kernel_w = static_cast<int>(site.conv.kernel_w);
    step.stride = static_cast<int>(site.conv.stride);
    step.pad = static_cast<int>(site.conv.pad);
    push_dense(x, y, step);
  }

  /// The rows of x in this form: packed when first asked for.
  size_t packed_copy(int x, RowForm form, const ActivationFormat& format) {
    used(x);
    auto& copies = plan_.values_[static_cast<size_t>(x)].copies;
    for (size_t i = 0; i < copies.size(); ++i)
      if (copies[i].form == form && copies[i].format.bits == format.bits &&
          copies[i].format.is_signed == format.is_signed)
        return i;
    copies.push_back({form, format, -1, -1, -1});
    const size_t i = copies.size() - 1;
    push([this_ = &plan_, pack = chooser_.pack_rows(), x, i, rows = rows_of(x), pitch = value(x).pitch] {
      const Value& v = this_->values_[static_cast<size_t>(x)];
      pack(this_->numbers(x), pitch, rows, this_->rows(x, v.copies[i]), {this_->device_.stream(), false});
    });
    return i;
  }

  LayerChoice push_block_conv(const std::string& name, const DeviceConv& site, const PackedLayer& layer, int x, int y) {
    LayerChoice choice{name, site.layer.bits, "", 0, "", 0};
    const DeviceKernel& kernel = chooser_.choose(site, layer, choice);
    plan_.exact_ = plan_.exact_ && kernel.exact;
    const size_t copy = packed_copy(x, kernel.form, site.layer.activations);
    const std::byte* weights = constants_.get(name + ".weight for " + std::string(kernel.name),
                                              [&] { return packed_weights(kernel, site.layer, layer); });
    used(x);
    push([this_ = &plan_, &kernel, site, weights, x, y, copy] {
      const Value &in = this_->values_[static_cast<size_t>(x)], &out = this_->values_[static_cast<size_t>(y)];
      kernel.run(site, weights, this_->rows(x, in.copies[copy]), this_->numbers(y), out.pitch,
                 {this_->device_.stream(), false});
    });
    return choice;
  }

  int place(int64_t bytes, size_t v) {
    plan_.places_.push_back({aligned(bytes), 0, first_use_[v], last_use_[v]});
    return static_cast<int>(plan_.places_.size()) - 1;
  }

  void settle() {
    for (size_t v = 0; v < plan_.values_.size(); ++v) {
      Value& value = plan_.values_[v];
      const int64_t rows = value.pixels() * plan_.images_;
      value.numbers = place(rows * value.pitch * 4, v);
      for (PackedCopy& copy : value.copies) {
        const RowsOut shape{.form = copy.form, .format = copy.format, .blocks = value.blocks()};
        copy.mantissas = place(shape.mantissa_bytes(rows), v);
        if (copy.form == RowForm::Bf16) continue;
        copy.steps = place(rows * value.blocks() * 4, v);
        copy.sums = place(rows * value.blocks() * 4, v);
      }
    }
    const int64_t bytes = arrange(plan_.places_);
    plan_.buffers_ = device().allocate(static_cast<size_t>(bytes));
    device().zero(plan_.buffers_.get(), static_cast<size_t>(bytes));
    plan_.buffer_bytes_ = bytes;
  }

  DevicePlan& plan_;
  const nn::Network& net_;
  DeviceConstants& constants_;
  DeviceChooser chooser_;
  std::vector<int> value_of_;              // by node
  std::vector<int> first_use_, last_use_;  // by value: steps
};

void DevicePlan::check(const nn::Network& net) {
  constexpr std::array<std::string_view, 12> kKinds = {"dsconv", "dropout",    "channel_affine", "relu",
                                                       "add",    "max_pool",   "avg_pool",       "global_avg_pool",
                                                       "concat", "shortcut_a", "flatten",        "linear"};
  for (size_t n = 1; n < net.nodes().size(); ++n) {  // node 0: the input
    const nn::Node& node = net.nodes()[n];
    const std::string_view kind = node.op->kind();
    if (std::ranges::find(kKinds, kind) == kKinds.end())
      input_error("engine", "{}: wanted an operator that a packed network runs, got {}", node.name, kind);
    if (kind != "dsconv") continue;
    const DsConvOptions& q = dynamic_cast<const PackedConv2d&>(*node.op).quantization();
    if (q.quantize_input && q.block != kBlock)
      input_error("engine", "{}: wanted blocks of {} channels on a GPU, got {}", node.name, kBlock, q.block);
  }
}

DevicePlan::DevicePlan(const nn::Network& net, int64_t images, Device& device, const DeviceEngineOptions& options,
                       DeviceConstants& constants)
    : device_(device), images_(images) {
  DevicePlanner(*this, net, options, constants).build();
  recorded_ = device_.record([this] {
    for (const std::function<void()>& step : steps_) step();
  });
}

DeviceRows DevicePlan::rows(int v, const PackedCopy& copy) const {
  return {.form = copy.form,
          .format = copy.format,
          .blocks = values_[static_cast<size_t>(v)].blocks(),
          .mantissas = at<void>(copy.mantissas),
          .steps = copy.steps < 0 ? nullptr : at<float>(copy.steps),
          .sums = copy.sums < 0 ? nullptr : at<int32_t>(copy.sums)};
}

void DevicePlan::run(const Tensor& x, float* logits) {
  ran_ = true;
  const int64_t rows = values_[0].pixels() * images_;
  std::vector<float> image(static_cast<size_t>(rows * kInputPitch), 0.0f);
  for (int64_t r = 0; r < rows; ++r) std::copy_n(x.row<float>(r), x.channels(), image.data() + r * kInputPitch);
  device_.upload(numbers(0), image.data(), image.size() * sizeof(float));
  device_.replay(recorded_);
  const Value& out = values_[static_cast<size_t>(output_)];
  std::vector<float> all(static_cast<size_t>(images_ * out.pitch));
  device_.download(all.data(), numbers(output_), all.size() * sizeof(float));
  for (int64_t n = 0; n < images_; ++n)
    std::copy_n(all.data() + n * out.pitch, out.channels, logits + n * out.channels);
}

}  // namespace kronbit::quant
