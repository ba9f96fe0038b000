#include "quant/engine/plan.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "nn/fusion.h"
#include "nn/ops/avg_pool.h"
#include "nn/ops/max_pool.h"
#include "nn/ops/shortcut_a.h"
#include "quant/engine/steps.h"
#include "quant/kernels/dense/dense.h"
#include "quant/packed_conv2d.h"

namespace kronbit::quant {
namespace {

constexpr int64_t kAlignment = 64;
constexpr int64_t kInputPitch = 4;

int64_t aligned(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

int64_t arrange(std::vector<Place>& places) {
  std::vector<size_t> order(places.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return places[a].bytes > places[b].bytes; });
  int64_t total = 0;
  std::vector<const Place*> placed;
  for (size_t i : order) {
    Place& place = places[i];
    std::vector<const Place*> rivals;
    for (const Place* other : placed)
      if (other->first <= place.last && place.first <= other->last) rivals.push_back(other);
    std::sort(rivals.begin(), rivals.end(), [](const Place* a, const Place* b) { return a->offset < b->offset; });
    int64_t offset = 0;
    for (const Place* rival : rivals) {
      if (offset + place.bytes <= rival->offset) break;
      offset = std::max(offset, rival->offset + rival->bytes);
    }
    place.offset = offset;
    total = std::max(total, offset + place.bytes);
    placed.push_back(&place);
  }
  return total;
}

/// Builds a plan node by node; where buffers are and how long they live is settled at the end.
class Planner {
 public:
  Planner(Plan& plan, const nn::Network& net, Chooser& chooser) : plan_(plan), net_(net), chooser_(chooser) {
    value_of_.assign(net.nodes().size(), -1);
    plan.choices_.resize(net.convolutions().size());
    plan.convolution_steps_.resize(plan.choices_.size());
    const Shape& image = net.input_shape();
    value_of_[0] = add_value({image[0], image[1], image[3], kInputPitch, -1, {}}, 0);
    numbers_read_[0] = true;
  }

  void build() {
    for (const nn::Step& step : nn::steps(net_, true, "channel_affine")) add_step(step);
    plan_.output_ = value_of_.back();
    read_numbers(plan_.output_);
    last_use_[static_cast<size_t>(plan_.output_)] = static_cast<int>(plan_.steps_.size());
    settle();
  }

 private:
  const nn::Node& node(int i) const { return net_.nodes()[static_cast<size_t>(i)]; }
  int value_of(int n) const { return value_of_[static_cast<size_t>(n)]; }
  const Tensor& parameter(const nn::Node& n, size_t i) const {
    return net_.parameters()[static_cast<size_t>(n.parameters[i])].var.value();
  }
  int next_step() const { return static_cast<int>(plan_.steps_.size()); }

  int add_value(Value value, int step) {
    plan_.values_.push_back(std::move(value));
    first_use_.push_back(step);
    last_use_.push_back(step);
    numbers_read_.push_back(false);
    return static_cast<int>(plan_.values_.size()) - 1;
  }
  int add_output(int n) {
    const Shape& shape = node(n).shape;
    const int64_t blocks = (shape[3] + 31) / 32;
    return value_of_[static_cast<size_t>(n)] =
               add_value({shape[0], shape[1], shape[3], 32 * blocks, -1, {}}, next_step());
  }
  void used(int v) { last_use_[static_cast<size_t>(v)] = std::max(last_use_[static_cast<size_t>(v)], next_step()); }
  int read_numbers(int v) {
    used(v);
    numbers_read_[static_cast<size_t>(v)] = true;
    return v;
  }
  /// The copy of a value in this form, made when it is new.
  int read_copy(int v, RowForm form, const ActivationFormat& format) {
    used(v);
    auto& copies = plan_.values_[static_cast<size_t>(v)].copies;
    for (size_t i = 0; i < copies.size(); ++i)
      if (copies[i].form == form && copies[i].format.bits == format.bits &&
          copies[i].format.is_signed == format.is_signed)
        return static_cast<int>(i);
    copies.push_back({form, format, -1, -1, -1});
    return static_cast<int>(copies.size()) - 1;
  }

  void push(std::unique_ptr<PlanStep> step) { plan_.steps_.push_back(std::move(step)); }

  Epilogue affine(int n) const {
    Epilogue e;
    const int64_t lanes = (node(n).shape[3] + 31) / 32 * 32;
    for (auto [to, i] : {std::pair{&e.scale, 0}, std::pair{&e.shift, 1}}) {
      const Tensor& from = parameter(node(n), static_cast<size_t>(i));
      to->assign(static_cast<size_t>(lanes), 0.0f);
      std::copy_n(from.data<float>(), from.count(), to->begin());
    }
    return e;
  }

  void add_step(const nn::Step& step) {
    if (step.conv >= 0) {
      Epilogue epilogue = affine(step.norm);
      if (step.residual >= 0) epilogue.residual = read_numbers(value_of(step.residual));
      epilogue.relu = step.relu;
      add_convolution(step.conv, step.node, std::move(epilogue));
      return;
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
    for (int input : node(n).inputs) inputs.push_back(read_numbers(value_of(input)));
    if (kind == "channel_affine" || kind == "relu" || kind == "add") {
      Epilogue epilogue;
      if (kind == "channel_affine") epilogue = affine(n);
      if (kind == "add") epilogue.residual = inputs[1];
      epilogue.relu = kind == "relu";
      push(with_output(n, [&](int out) { return make_rowwise(inputs[0], out, std::move(epilogue)); }));
    } else if (const auto* max = dynamic_cast<const nn::MaxPool*>(&op)) {
      push(with_output(n, [&](int out) { return make_max_pool(inputs[0], out, max->options()); }));
    } else if (const auto* avg = dynamic_cast<const nn::AvgPool*>(&op)) {
      push(with_output(n, [&](int out) { return make_avg_pool(inputs[0], out, avg->options()); }));
    } else if (kind == "global_avg_pool") {
      push(with_output(n, [&](int out) { return make_global_avg_pool(inputs[0], out); }));
    } else if (kind == "concat") {
      push(with_output(n, [&](int out) { return make_concat(inputs, out); }));
    } else if (const auto* shortcut = dynamic_cast<const nn::ShortcutA*>(&op)) {
      push(with_output(n, [&](int out) { return make_shortcut_a(inputs[0], out, shortcut->stride()); }));
    } else if (kind == "flatten") {
      push(with_output(n, [&](int out) { return make_flatten(inputs[0], out); }));
    } else if (kind == "linear") {
      const Tensor &weights = parameter(node(n), 0), &bias = parameter(node(n), 1);  // [O][C], [O]
      const int64_t outputs = weights.shape()[0], depth = weights.shape()[1];
      DenseWeights panels =
          chooser_.dense_weights(node(n).name, [&] { return dense_panels(weights.data<float>(), outputs, depth, 1); });
      push(with_output(n, [&](int out) { return make_linear(inputs[0], out, depth, std::move(panels), bias); }));
    } else {
      input_error("engine", "{}: wanted an operator that a packed network runs, got {}", node(n).name, kind);
    }
  }

  template <class Make>
  std::unique_ptr<PlanStep> with_output(int n, const Make& make) {
    return make(add_output(n));
  }

  void add_convolution(int conv, int last, Epilogue epilogue) {
    const auto& op = dynamic_cast<const PackedConv2d&>(*node(conv).op);
    const int input = value_of(node(conv).inputs[0]);
    const std::vector<int> list = net_.convolutions();
    const auto place_in_list = static_cast<size_t>(std::find(list.begin(), list.end(), conv) - list.begin());
    plan_.convolution_steps_[place_in_list] = plan_.steps_.size();
    LayerChoice& choice = plan_.choices_[place_in_list];
    const DsConvOptions& q = op.quantization();
    ConvSite site{.layer = node(conv).name,
                  .conv = op.options(),
                  .height = plan_.value(input).height,
                  .width = plan_.value(input).width,
                  .shape = {.outputs = op.options().out_channels,
                            .channels = op.options().in_channels,
                            .taps = op.options().kernel_h * op.options().kernel_w,
                            .bits = q.bits,
                            .mode = op.layer().mode,
                            .activations = q.input_format()},
                  .weights = &op.layer()};
    if (!q.quantize_input || q.block != kBlock) {
      read_numbers(input);
      choice = {site.layer, q.bits, "dense", 0, "", 0};
      plan_.exact_ = plan_.exact_ && !q.quantize_input;
      DenseWeights panels = chooser_.dense_weights(site.layer, [&] {
        const Tensor w = dequantize(unpack(op.layer()));  // [O, C, kh, kw]
        return dense_panels(w.data<float>(), site.shape.outputs, site.shape.channels, site.shape.taps);
      });
      push(with_output(last, [&](int out) {
        return make_dense_conv(plan_, input, out, site, q.quantize_input, std::move(panels), std::move(epilogue));
      }));
      return;
    }
    Chosen chosen = chooser_.choose(site, plan_.images());
    const int copy = read_copy(input, chosen.kernel->form, site.shape.activations);
    choice = chosen.report;
    plan_.exact_ = plan_.exact_ && chosen.kernel->exact;
    push(with_output(last, [&](int out) {
      return make_block_conv(plan_, input, copy, out, site, std::move(chosen), std::move(epilogue));
    }));
  }

  int place(int64_t bytes, size_t v) {
    plan_.places_.push_back({aligned(bytes), 0, first_use_[v], last_use_[v]});
    return static_cast<int>(plan_.places_.size()) - 1;
  }

  void settle() {
    for (size_t v = 0; v < plan_.values_.size(); ++v) {
      Value& value = plan_.values_[v];
      const int64_t rows = value.pixels() * plan_.images_;
      if (numbers_read_[v]) value.numbers = place(rows * value.pitch * 4, v);
      for (PackedCopy& copy : value.copies) {
        const RowsOut shape{.form = copy.form, .format = copy.format, .blocks = value.blocks()};
        copy.mantissas = place(shape.mantissa_bytes(rows + 1), v);
        if (copy.form == RowForm::Bf16) continue;
        copy.steps = place((rows + 1) * value.blocks() * 4, v);
        copy.sums = place((rows + 1) * value.blocks() * 4, v);
      }
    }
    plan_.arena_bytes_ = arrange(plan_.places_);
    for (const auto& step : plan_.steps_)
      plan_.scratch_bytes_ = std::max(plan_.scratch_bytes_, aligned(step->scratch_bytes_of(plan_)));
  }

  Plan& plan_;
  const nn::Network& net_;
  Chooser& chooser_;
  std::vector<int> value_of_;              // by node
  std::vector<int> first_use_, last_use_;  // by value: steps
  std::vector<bool> numbers_read_;         // by value
};

Plan::Plan(const nn::Network& net, int64_t images, int workers, Chooser& chooser) : images_(images), workers_(workers) {
  Planner(*this, net, chooser).build();
}

RowsOut Plan::rows_out(const Arena& arena, int v, const PackedCopy& copy) const {
  const auto array = [&](int place) { return place < 0 ? nullptr : at(arena, place); };
  return {.form = copy.form,
          .format = copy.format,
          .blocks = value(v).blocks(),
          .mantissas = at(arena, copy.mantissas),
          .steps = reinterpret_cast<float*>(array(copy.steps)),
          .sums = reinterpret_cast<int32_t*>(array(copy.sums))};
}

void Plan::emit(const Arena& arena, int v, int64_t first_row, int64_t rows, const float* y, int64_t pitch,
                int64_t first_block, int64_t blocks) const {
  const Value& to = value(v);
  if (to.numbers >= 0) {
    float* numbers = this->numbers(arena, v) + first_row * to.pitch + 32 * first_block;
    for (int64_t r = 0; r < rows; ++r)
      std::memcpy(numbers + r * to.pitch, y + r * pitch, static_cast<size_t>(128 * blocks));
  }
  for (const PackedCopy& copy : to.copies)
    best_row_packer().pack(y, pitch, rows, blocks, rows_out(arena, v, copy), first_row, first_block);
}

void Plan::emit_zero_rows(const Arena& arena, int v) const {
  const Value& to = value(v);
  for (const PackedCopy& copy : to.copies) {
    const RowsOut out = rows_out(arena, v, copy);
    const int64_t row = rows(v), bytes = out.view().row_bytes();
    std::memset(out.mantissas + row * bytes, 0, static_cast<size_t>(bytes));
    if (out.steps) std::fill_n(out.steps + row * out.blocks, out.blocks, 0.0f);
    if (out.sums) std::fill_n(out.sums + row * out.blocks, out.blocks, 0);
  }
}

}  // namespace kronbit::quant
