// The convolutions of a plan.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "quant/engine/steps.h"
#include "quant/kernels/dense/dense.h"
#include "tensor/memory.h"
#include "tensor/rows/rows.h"

namespace kronbit::quant {
namespace {

constexpr size_t kMostTaps = 64;
constexpr int64_t kPixel = 4;  ///< numbers of a pixel of the image: three channels and a zero

/// A part of a convolution: some rows of a group, some blocks of 32 outputs.
struct ConvItem {
  const RowGroup* group;
  int64_t begin, rows, first_block, blocks;
};

/// Cut so that a single worker has few large pieces and several have a few each of about the same size.
std::vector<ConvItem> cut(const std::vector<RowGroup>& groups, int64_t outputs, int workers) {
  const int64_t blocks = (outputs + 31) / 32, chunk = chunk_rows(outputs);
  int64_t chunks = 0;
  for (const RowGroup& group : groups) chunks += (std::ssize(group.rows) + chunk - 1) / chunk;
  const int64_t wanted = workers == 1 ? 1 : 3 * workers;
  const int64_t parts = std::clamp<int64_t>((wanted + chunks - 1) / chunks, 1, blocks);
  std::vector<ConvItem> items;
  for (const RowGroup& group : groups)
    for (int64_t begin = 0; begin < std::ssize(group.rows); begin += chunk)
      for (int64_t part = 0; part < parts; ++part) {
        const int64_t first = blocks * part / parts, last = blocks * (part + 1) / parts;
        items.push_back({&group, begin, std::min(chunk, std::ssize(group.rows) - begin), first, last - first});
      }
  return items;
}

/// Calls use(position in the item, first output row, rows) for every run of consecutive output rows.
template <class Use>
void for_each_run(const ConvItem& item, const Use& use) {
  const int32_t* rows = item.group->rows.data() + item.begin;
  for (int64_t r = 0; r < item.rows;) {
    int64_t n = 1;
    while (r + n < item.rows && rows[r + n] == rows[r] + n) ++n;
    use(r, rows[r], n);
    r += n;
  }
}

class ConvStep : public PlanStep {
 public:
  ConvStep(const Plan& plan, int input, int out, const ConvSite& site, Border border, Epilogue epilogue)
      : PlanStep(out),
        input_(input),
        site_(site),
        groups_(row_groups(site.conv, site.height, site.width, plan.images(), border)),
        items_(cut(groups_, site.shape.outputs, plan.workers())),
        epilogue_(std::move(epilogue)) {
    site_.weights = nullptr;  // only needed to pack
  }
  int64_t items_of(const Plan&) const override { return std::ssize(items_); }
  int64_t scratch_bytes_of(const Plan&) const override {
    return chunk_rows(site_.shape.outputs) * pitch() * static_cast<int64_t>(sizeof(float));
  }
  void run(const Plan& plan, const Arena& arena, int64_t number) const override {
    const ConvItem& item = items_[static_cast<size_t>(number)];
    auto* y = reinterpret_cast<float*>(arena.scratch);
    product(plan, arena, item, y);
    for_each_run(item, [&](int64_t r, int64_t row, int64_t rows) {
      epilogue_.apply(plan, arena, y + r * pitch(), pitch(), row, rows, item.first_block, item.blocks);
      plan.emit(arena, output(), row, rows, y + r * pitch(), pitch(), item.first_block, item.blocks);
    });
  }

 protected:
  virtual void product(const Plan& plan, const Arena& arena, const ConvItem& item, float* y) const = 0;
  int64_t pitch() const { return 16 * site_.shape.panels(); }

  int input_;
  ConvSite site_;
  std::vector<RowGroup> groups_;
  std::vector<ConvItem> items_;
  Epilogue epilogue_;
};

class BlockConv final : public ConvStep {
 public:
  BlockConv(const Plan& plan, int input, int copy, int out, const ConvSite& site, Chosen chosen, Epilogue epilogue)
      : ConvStep(plan, input, out, site, chosen.border, std::move(epilogue)), copy_(copy), chosen_(std::move(chosen)) {}

 private:
  void product(const Plan& plan, const Arena& arena, const ConvItem& item, float* y) const override {
    std::array<Tap, kMostTaps> taps;
    size_t count = 0;
    for (const RowGroup::TapRows& tap : item.group->taps) taps[count++] = {tap.x_rows.data() + item.begin, tap.tap};
    const PackedCopy& copy = plan.value(input_).copies[static_cast<size_t>(copy_)];
    chosen_.kernel->run(site_.shape, chosen_.weights->data(), plan.rows_out(arena, input_, copy).view(),
                        {.taps = {taps.data(), count},
                         .rows = item.rows,
                         .first_panel = 2 * item.first_block,
                         .panels = 2 * item.blocks,
                         .y = y,
                         .pitch = pitch()});
  }

  int copy_;
  Chosen chosen_;
};

class DenseConv final : public ConvStep {
 public:
  DenseConv(const Plan& plan, int input, int out, const ConvSite& site, bool quantize, DenseWeights weights,
            Epilogue epilogue)
      : ConvStep(plan, input, out, site, Border::Padded, std::move(epilogue)),
        quantize_(quantize),
        weights_(std::move(weights)) {}
  int64_t scratch_bytes_of(const Plan& plan) const override {
    return ConvStep::scratch_bytes_of(plan) +
           (chunk_rows(site_.shape.outputs) * patch() + round_up_32(site_.shape.channels)) * 4 + 64;
  }

 private:
  static int64_t round_up_32(int64_t n) { return (n + 31) / 32 * 32; }
  int64_t depth() const { return site_.shape.taps * site_.shape.channels; }
  /// From the patch of one output row to the next, with room for the last pixel's fourth number.
  int64_t patch() const { return depth() + 1; }

  void product(const Plan& plan, const Arena& arena, const ConvItem& item, float* y) const override {
    const float* x = plan.numbers(arena, input_);
    float* patches = y + chunk_rows(site_.shape.outputs) * pitch();
    const auto zero = static_cast<int32_t>(plan.rows(input_));
    if (plan.value(input_).pitch == kPixel) {
      gather_pixels(x, zero, item, patches);
    } else {
      gather_rows(x, plan.value(input_).pitch, zero, item, patches);
    }
    best_dense_kernel().run({.rows = item.rows,
                             .depth = depth(),
                             .panels = 2 * item.blocks,
                             .x = patches,
                             .x_pitch = patch(),
                             .w = weights_->data() + 2 * item.first_block * depth() * 16,
                             .y = y,
                             .y_pitch = pitch()});
  }

  /// Pixels of the image, whole registers of four numbers: the fourth is overwritten by the next tap.
  void gather_pixels(const float* x, int32_t zero, const ConvItem& item, float* patches) const {
    constexpr float kZeros[kPixel] = {};
    const int64_t c = site_.shape.channels;
    for (const RowGroup::TapRows& tap : item.group->taps) {
      const int32_t* rows = tap.x_rows.data() + item.begin;
      for (int64_t r = 0; r < item.rows; ++r)
        std::memcpy(patches + r * patch() + tap.tap * c, rows[r] == zero ? kZeros : x + rows[r] * kPixel,
                    sizeof kZeros);
    }
  }
  void gather_rows(const float* x, int64_t pitch_in, int32_t zero, const ConvItem& item, float* patches) const {
    const int64_t c = site_.shape.channels;
    float* quantized = patches + chunk_rows(site_.shape.outputs) * patch();
    for (int64_t r = 0; r < item.rows; ++r) {
      for (const RowGroup::TapRows& tap : item.group->taps) {
        const int32_t row = tap.x_rows[static_cast<size_t>(item.begin + r)];
        float* to = patches + r * patch() + tap.tap * c;
        if (row == zero) {
          std::fill_n(to, c, 0.0f);
        } else if (quantize_) {
          quantize_rows(x + row * pitch_in, quantized, 1, pitch_in, c, site_.shape.activations);
          std::copy_n(quantized, c, to);
        } else {
          std::copy_n(x + row * pitch_in, c, to);
        }
      }
    }
  }

  bool quantize_;
  DenseWeights weights_;
};

}  // namespace

void Epilogue::apply(const Plan& plan, const Arena& arena, float* y, int64_t pitch, int64_t first_row, int64_t rows,
                     int64_t first_block, int64_t blocks) const {
  const RowKernels<float>& kernels = row_kernels<float>();
  const float* added = nullptr;
  int64_t added_pitch = 0;
  if (residual >= 0) {
    added_pitch = plan.value(residual).pitch;
    added = plan.numbers(arena, residual) + first_row * added_pitch + 32 * first_block;
  }
  if (scale.empty()) {
    for (int64_t r = 0; r < rows; ++r) {
      if (added) kernels.add(32 * blocks, y + r * pitch, added + r * added_pitch, y + r * pitch);
      if (relu) kernels.relu(32 * blocks, y + r * pitch, y + r * pitch);
    }
    return;
  }
  static const std::vector<float> zeros(size_t{1} << 16, 0.0f);
  KB_CHECK(32 * blocks <= std::ssize(zeros));
  const NormalizeCoefficients<float> with{zeros.data(), scale.data() + 32 * first_block,
                                          shift.data() + 32 * first_block};
  if (!added || added_pitch == pitch) {
    kernels.normalize({rows, 32 * blocks, pitch}, y, with, added, relu, y);
    return;
  }
  for (int64_t r = 0; r < rows; ++r)
    kernels.normalize({1, 32 * blocks, 32 * blocks}, y + r * pitch, with, added + r * added_pitch, relu, y + r * pitch);
}

std::unique_ptr<PlanStep> make_block_conv(const Plan& plan, int input, int copy, int output, const ConvSite& site,
                                          Chosen chosen, Epilogue epilogue) {
  KB_CHECK(site.shape.taps <= static_cast<int64_t>(kMostTaps));
  return std::make_unique<BlockConv>(plan, input, copy, output, site, std::move(chosen), std::move(epilogue));
}

std::unique_ptr<PlanStep> make_dense_conv(const Plan& plan, int input, int output, const ConvSite& site, bool quantize,
                                          DenseWeights weights, Epilogue epilogue) {
  return std::make_unique<DenseConv>(plan, input, output, site, quantize, std::move(weights), std::move(epilogue));
}

}  // namespace kronbit::quant
