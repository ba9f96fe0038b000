// The steps of a plan that are not convolutions.
#include "quant/engine/steps.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "quant/kernels/dense/dense.h"
#include "tensor/rows/rows.h"

namespace kronbit::quant {
namespace {

constexpr int64_t kRowsPerItem = 64;

class Rowwise final : public PlanStep {
 public:
  Rowwise(int input, int out, Epilogue epilogue) : PlanStep(out), input_(input), epilogue_(std::move(epilogue)) {}
  int64_t items_of(const Plan& plan) const override { return (plan.rows(output()) + kRowsPerItem - 1) / kRowsPerItem; }
  int64_t scratch_bytes_of(const Plan& plan) const override { return kRowsPerItem * plan.value(output()).pitch * 4; }
  void run(const Plan& plan, const Arena& arena, int64_t item) const override {
    const int64_t first = item * kRowsPerItem, rows = std::min(kRowsPerItem, plan.rows(output()) - first);
    const int64_t pitch = plan.value(output()).pitch, blocks = plan.value(output()).blocks();
    auto* y = reinterpret_cast<float*>(arena.scratch);
    std::copy_n(plan.numbers(arena, input_) + first * pitch, rows * pitch, y);
    epilogue_.apply(plan, arena, y, pitch, first, rows, 0, blocks);
    plan.emit(arena, output(), first, rows, y, pitch, 0, blocks);
  }

 private:
  int input_;
  Epilogue epilogue_;
};

/// Windows over pixels: an item is a row of output pixels.
class Pool final : public PlanStep {
 public:
  Pool(int input, int out, const nn::PoolOptions& options, bool maximum)
      : PlanStep(out), input_(input), options_(options), maximum_(maximum) {}
  int64_t items_of(const Plan& plan) const override { return plan.value(output()).height; }
  int64_t scratch_bytes_of(const Plan& plan) const override { return plan.value(output()).width * lanes(plan) * 4; }
  void run(const Plan& plan, const Arena& arena, int64_t h) const override {
    const Value &in = plan.value(input_), &out = plan.value(output());
    auto* y = reinterpret_cast<float*>(arena.scratch);
    const float* x = plan.numbers(arena, input_);
    const nn::PoolWindow rows = nn::pool_window(h, in.height, options_);
    for (int64_t w = 0; w < out.width; ++w) {
      const nn::PoolWindow cols = nn::pool_window(w, in.width, options_);
      window(x, in, rows, cols, lanes(plan), y + w * lanes(plan));
    }
    plan.emit(arena, output(), h * out.width * plan.images(), out.width * plan.images(), y, out.pitch, 0, out.blocks());
  }

 private:
  int64_t lanes(const Plan& plan) const { return plan.images() * plan.value(output()).pitch; }
  void window(const float* x, const Value& in, const nn::PoolWindow& rows, const nn::PoolWindow& cols, int64_t lanes,
              float* y) const {
    const RowKernels<float>& kernels = row_kernels<float>();
    std::array<const float*, 256> pixels;
    int64_t count = 0;
    for (int64_t i = rows.begin; i < rows.end; ++i)
      for (int64_t j = cols.begin; j < cols.end; ++j)
        pixels[static_cast<size_t>(count++)] = x + (i * in.width + j) * lanes;
    if (maximum_) {
      kernels.max(lanes, pixels.data(), count, y);
      return;
    }
    std::fill_n(y, lanes, 0.0f);
    for (int64_t k = 0; k < count; ++k) kernels.add_scaled(lanes, 1.0f, pixels[static_cast<size_t>(k)], y);
    const int64_t inside = options_.count_include_pad ? rows.padded_length * cols.padded_length : count;
    kernels.store_scaled(lanes, static_cast<float>(1.0 / static_cast<double>(inside)), y, y);
  }

  int input_;
  nn::PoolOptions options_;
  bool maximum_;
};

class GlobalAvgPool final : public PlanStep {
 public:
  GlobalAvgPool(int input, int out) : PlanStep(out), input_(input) {}
  int64_t scratch_bytes_of(const Plan& plan) const override { return plan.images() * plan.value(output()).pitch * 4; }
  void run(const Plan& plan, const Arena& arena, int64_t) const override {
    const Value& in = plan.value(input_);
    const int64_t lanes = plan.images() * in.pitch;
    auto* y = reinterpret_cast<float*>(arena.scratch);
    const RowKernels<float>& kernels = row_kernels<float>();
    std::fill_n(y, lanes, 0.0f);
    for (int64_t p = 0; p < in.pixels(); ++p)
      kernels.add_scaled(lanes, 1.0f, plan.numbers(arena, input_) + p * lanes, y);
    kernels.store_scaled(lanes, static_cast<float>(1.0 / static_cast<double>(in.pixels())), y, y);
    plan.emit(arena, output(), 0, plan.images(), y, in.pitch, 0, in.blocks());
  }

 private:
  int input_;
};

/// Rows put together from rows of other values, pixel by pixel.
class Gather : public PlanStep {
 public:
  using PlanStep::PlanStep;
  int64_t items_of(const Plan& plan) const override { return plan.value(output()).height; }
  int64_t scratch_bytes_of(const Plan& plan) const override {
    return plan.value(output()).width * plan.images() * plan.value(output()).pitch * 4;
  }
  void run(const Plan& plan, const Arena& arena, int64_t h) const override {
    const Value& out = plan.value(output());
    auto* y = reinterpret_cast<float*>(arena.scratch);
    std::fill_n(y, out.width * plan.images() * out.pitch, 0.0f);
    for (int64_t w = 0; w < out.width; ++w)
      for (int64_t n = 0; n < plan.images(); ++n) row(plan, arena, h, w, n, y + (w * plan.images() + n) * out.pitch);
    plan.emit(arena, output(), h * out.width * plan.images(), out.width * plan.images(), y, out.pitch, 0, out.blocks());
  }

 protected:
  virtual void row(const Plan& plan, const Arena& arena, int64_t h, int64_t w, int64_t n, float* y) const = 0;
  static const float* source(const Plan& plan, const Arena& arena, int v, int64_t h, int64_t w, int64_t n) {
    const Value& in = plan.value(v);
    return plan.numbers(arena, v) + ((h * in.width + w) * plan.images() + n) * in.pitch;
  }
};

class Concat final : public Gather {
 public:
  Concat(std::vector<int> inputs, int out) : Gather(out), inputs_(std::move(inputs)) {}

 private:
  void row(const Plan& plan, const Arena& arena, int64_t h, int64_t w, int64_t n, float* y) const override {
    for (int v : inputs_) y = std::copy_n(source(plan, arena, v, h, w, n), plan.value(v).channels, y);
  }
  std::vector<int> inputs_;
};

class ShortcutA final : public Gather {
 public:
  ShortcutA(int input, int out, int64_t stride) : Gather(out), input_(input), stride_(stride) {}

 private:
  void row(const Plan& plan, const Arena& arena, int64_t h, int64_t w, int64_t n, float* y) const override {
    const int64_t c = plan.value(input_).channels;
    std::copy_n(source(plan, arena, input_, stride_ * h, stride_ * w, n), c,
                y + (plan.value(output()).channels - c) / 2);
  }
  int input_;
  int64_t stride_;
};

class Flatten final : public Gather {
 public:
  Flatten(int input, int out) : Gather(out), input_(input) {}

 private:
  void row(const Plan& plan, const Arena& arena, int64_t, int64_t, int64_t n, float* y) const override {
    const Value& in = plan.value(input_);
    for (int64_t p = 0; p < in.pixels(); ++p) {
      const float* x = source(plan, arena, input_, p / in.width, p % in.width, n);
      for (int64_t c = 0; c < in.channels; ++c) y[c * in.pixels() + p] = x[c];
    }
  }
  int input_;
};

/// An item is 8 blocks of 32 outputs.
class Linear final : public PlanStep {
 public:
  Linear(int input, int out, int64_t depth, DenseWeights weights, const Tensor& bias)
      : PlanStep(out),
        input_(input),
        depth_(depth),
        blocks_((bias.count() + 31) / 32),
        weights_(std::move(weights)),
        bias_(static_cast<size_t>(32 * blocks_), 0.0f) {
    std::copy_n(bias.data<float>(), bias.count(), bias_.begin());
  }
  int64_t items_of(const Plan&) const override { return (blocks_ + kBlocks - 1) / kBlocks; }
  int64_t scratch_bytes_of(const Plan& plan) const override { return plan.images() * 32 * kBlocks * 4; }
  void run(const Plan& plan, const Arena& arena, int64_t item) const override {
    const int64_t first = item * kBlocks, blocks = std::min(kBlocks, blocks_ - first), pitch = 32 * kBlocks;
    auto* y = reinterpret_cast<float*>(arena.scratch);
    best_dense_kernel().run({.rows = plan.images(),
                             .depth = depth_,
                             .panels = 2 * blocks,
                             .x = plan.numbers(arena, input_),
                             .x_pitch = plan.value(input_).pitch,
                             .w = weights_->data() + 32 * first * depth_,
                             .y = y,
                             .y_pitch = pitch});
    for (int64_t n = 0; n < plan.images(); ++n)
      row_kernels<float>().add(32 * blocks, y + n * pitch, bias_.data() + 32 * first, y + n * pitch);
    plan.emit(arena, output(), 0, plan.images(), y, pitch, first, blocks);
  }

 private:
  static constexpr int64_t kBlocks = 8;
  int input_;
  int64_t depth_, blocks_;
  DenseWeights weights_;
  std::vector<float> bias_;  // [32 blocks]
};

}  // namespace

std::unique_ptr<PlanStep> make_rowwise(int input, int output, Epilogue epilogue) {
  return std::make_unique<Rowwise>(input, output, std::move(epilogue));
}
std::unique_ptr<PlanStep> make_max_pool(int input, int output, const nn::PoolOptions& options) {
  return std::make_unique<Pool>(input, output, options, true);
}
std::unique_ptr<PlanStep> make_avg_pool(int input, int output, const nn::PoolOptions& options) {
  return std::make_unique<Pool>(input, output, options, false);
}
std::unique_ptr<PlanStep> make_global_avg_pool(int input, int output) {
  return std::make_unique<GlobalAvgPool>(input, output);
}
std::unique_ptr<PlanStep> make_concat(std::vector<int> inputs, int output) {
  return std::make_unique<Concat>(std::move(inputs), output);
}
std::unique_ptr<PlanStep> make_shortcut_a(int input, int output, int64_t stride) {
  return std::make_unique<ShortcutA>(input, output, stride);
}
std::unique_ptr<PlanStep> make_flatten(int input, int output) { return std::make_unique<Flatten>(input, output); }
std::unique_ptr<PlanStep> make_linear(int input, int output, int64_t depth, DenseWeights weights, const Tensor& bias) {
  return std::make_unique<Linear>(input, output, depth, std::move(weights), bias);
}

}  // namespace kronbit::quant
