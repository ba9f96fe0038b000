#include "nn/ops/conv2d.h"

#include <algorithm>

#include "tensor/brgemm/brgemm.h"
#include "tensor/parallel.h"

namespace kronbit::nn {
namespace {

/// Images of one GEMM: enough rows for its tiles, few enough that a row of pixels stays in the L2 cache.
constexpr int64_t kImages = 64;
/// Columns of one GEMM, and of one panel of packed weights.
constexpr int64_t kPanel = kBlock;
/// Parallel tasks worth having; fixed, so that sums do not depend on the number of threads.
constexpr int64_t kTasks = 64;

void check_tensor(const char* what, const Tensor& t, const Shape& want, DType type) {
  if (t.shape() != want || t.dtype() != type) {
    input_error("conv2d", "{}: wanted {} {}, got {} {}", what, want.text(), name_of(type), t.shape().text(),
                name_of(t.dtype()));
  }
}

Shape weight_shape(const Conv2dOptions& o) { return {o.out_channels, o.in_channels, o.kernel_h, o.kernel_w}; }

struct Range {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};
/// The k-th of `parts` almost equal parts of [0, n).
Range part(int64_t n, int64_t parts, int64_t k) { return {n * k / parts, n * (k + 1) / parts}; }

/// In one direction: tap number `tap` of the kernel meets pixel `source`.
struct Tap {
  int64_t tap, source;
};
/// For every pixel of the result, its taps that fall inside the source.
using Taps = std::vector<std::vector<Tap>>;

/// y[h] reads x[h * stride - pad + tap].
Taps forward_taps(int64_t outputs, int64_t inputs, int64_t kernel, const Conv2dOptions& o) {
  Taps taps(static_cast<size_t>(outputs));
  for (int64_t h = 0; h < outputs; ++h) {
    for (int64_t tap = 0; tap < kernel; ++tap) {
      const int64_t source = h * o.stride - o.pad + tap;
      if (source >= 0 && source < inputs) taps[static_cast<size_t>(h)].push_back({tap, source});
    }
  }
  return taps;
}

/// dx[u] reads dy[(u + pad - tap) / stride] where that is whole: the forward pairs, listed by input.
Taps backward_taps(int64_t outputs, int64_t inputs, int64_t kernel, const Conv2dOptions& o) {
  Taps taps(static_cast<size_t>(inputs));
  const Taps forward = forward_taps(outputs, inputs, kernel, o);
  for (int64_t h = 0; h < outputs; ++h) {
    for (const Tap& t : forward[static_cast<size_t>(h)]) taps[static_cast<size_t>(t.source)].push_back({t.tap, h});
  }
  return taps;
}

/// Weights in the order the GEMMs read them: [panel][tap][k][32 columns].
/// Forward: k = input channel, column = output channel; backward-data: the other way round.
template <class T>
Tensor pack_weights(const Tensor& w, const Conv2dOptions& o, bool backward) {
  const int64_t taps = o.kernel_h * o.kernel_w;
  const int64_t rows = backward ? o.out_channels : o.in_channels, columns = backward ? o.in_channels : o.out_channels;
  const int64_t row_stride = backward ? o.in_channels * taps : taps,
                column_stride = backward ? taps : o.in_channels * taps;
  const int64_t panels = chunk_count(columns, kPanel);
  Tensor packed = Tensor::activation_uninitialized(panels, taps, rows, kPanel, w.dtype());
  constexpr int64_t kRows = 16;  // 16 rows x 9 taps x 32 columns fit the L1 cache
  const int64_t row_blocks = chunk_count(rows, kRows);
  parallel_for(panels * row_blocks, 1, [&](int64_t task, int64_t) {
    const int64_t panel = task / row_blocks, first = panel * kPanel, width = std::min(kPanel, columns - first);
    const int64_t row_begin = task % row_blocks * kRows, row_end = std::min(rows, row_begin + kRows);
    for (int64_t column = 0; column < width; ++column) {
      for (int64_t row = row_begin; row < row_end; ++row) {
        const T* from = w.data<T>() + row * row_stride + (first + column) * column_stride;
        T* to = packed.row<T>(panel * taps * rows + row) + column;
        for (int64_t tap = 0; tap < taps; ++tap) to[tap * rows * kPanel] = from[tap];
      }
    }
  });
  return packed;
}

/// to[h][w] = sum over the taps of (h, w) of from[source] * weights[tap].
template <class T>
void sum_of_taps(const Tensor& from, const Tensor& weights, int64_t kernel_w, const Taps& rows, const Taps& columns,
                 Tensor& to) {
  const int64_t images = from.images(), blocks = chunk_count(images, kImages), panels = weights.height();
  const int64_t outer = blocks * to.height();
  // Panels of one row of pixels follow each other on one thread, so they find that row in the cache.
  parallel_for(outer * panels, outer >= kTasks ? panels : 1, [&](int64_t begin, int64_t end) {
    std::vector<BrgemmTerm<T>> terms;
    for (int64_t task = begin; task < end; ++task) {
      const int64_t panel = task % panels, h = task / panels % to.height(), block = task / panels / to.height();
      const Range image = part(images, blocks, block);
      const BrgemmShape shape{.m = image.size(),
                              .n = std::min(kPanel, to.channels() - panel * kPanel),
                              .k = from.channels(),
                              .a_row = from.pitch(),
                              .a_col = 1,
                              .b_row = kPanel,
                              .c_row = to.pitch()};
      for (int64_t w = 0; w < to.width(); ++w) {
        terms.clear();
        for (const Tap& i : rows[static_cast<size_t>(h)]) {
          for (const Tap& j : columns[static_cast<size_t>(w)]) {
            const int64_t tap = i.tap * kernel_w + j.tap, pixel = i.source * from.width() + j.source;
            terms.push_back({from.row<T>(pixel * images + image.begin),
                             weights.row<T>((panel * weights.width() + tap) * weights.images())});
          }
        }
        brgemm<T>(shape, terms, to.row<T>((h * to.width() + w) * images + image.begin) + panel * kPanel, false);
      }
    }
  });
}

/// dw[o][c][tap] = sum over the splits of partial[split][tap][c][o], in order.
template <class T>
Tensor fold(const Tensor& partial, const Conv2dOptions& o) {
  const int64_t splits = partial.height(), taps = partial.width(), channels = partial.images();
  constexpr int64_t kRows = 16;  // channels of one task: its sums fit the L1 cache
  const int64_t row_blocks = chunk_count(channels, kRows), panels = chunk_count(o.out_channels, kPanel);
  Tensor dw = Tensor::zeros(weight_shape(o), partial.dtype());
  parallel_for(panels * row_blocks, 1, [&](int64_t task, int64_t) {
    const int64_t first = task / row_blocks * kPanel, width = std::min(kPanel, o.out_channels - first);
    const int64_t begin = task % row_blocks * kRows, count = std::min(kRows, channels - begin);
    std::vector<T> sums(static_cast<size_t>(taps * count * kPanel));  // [tap][c][o]
    for (int64_t split = 0; split < splits; ++split) {
      T* to = sums.data();
      for (int64_t tap = 0; tap < taps; ++tap) {
        for (int64_t c = 0; c < count; ++c, to += kPanel) {
          const T* from = partial.row<T>((split * taps + tap) * channels + begin + c) + first;
          for (int64_t k = 0; k < kPanel; ++k) to[k] += from[k];  // padding included: it is zero
        }
      }
    }
    for (int64_t k = 0; k < width; ++k) {
      T* to = dw.data<T>() + ((first + k) * channels + begin) * taps;
      for (int64_t c = 0; c < count; ++c) {
        for (int64_t tap = 0; tap < taps; ++tap)
          to[c * taps + tap] = sums[static_cast<size_t>((tap * count + c) * kPanel + k)];
      }
    }
  });
  return dw;
}

/// The sum over pixels and images, cut into units: a block of images, a row of dy, a segment of that row. A unit is
/// small enough that its numbers stay in the first caches while all taps use them.
struct Units {
  int64_t images, height, width;  // of dy
  int64_t image_blocks = chunk_count(images, kImages);
  int64_t segments = chunk_count(width, std::max<int64_t>(1, kTerms / std::clamp<int64_t>(images, 1, kImages)));
  static constexpr int64_t kTerms = 256;

  int64_t count() const { return image_blocks * height * segments; }
  Range image(int64_t unit) const { return part(images, image_blocks, unit / segments / height); }
  int64_t row(int64_t unit) const { return unit / segments % height; }
  Range pixels(int64_t unit) const { return part(width, segments, unit % segments); }
};

/// The part of dw that one task sums up.
struct WeightTask {
  Range channels, outputs, units;
  int64_t split;  // where in the partial sums [split][tap][c][o]
};

template <class T>
void sum_weight_gradient(const Tensor& dy, const Tensor& x, const Conv2dOptions& o, const Taps& rows,
                         const Taps& columns, const Units& units, const WeightTask& task, Tensor& partial) {
  const int64_t taps = o.kernel_h * o.kernel_w;
  BrgemmShape shape{.m = task.channels.size(),
                    .n = task.outputs.size(),
                    .k = 0,
                    .a_row = 1,
                    .a_col = x.pitch(),
                    .b_row = dy.pitch(),
                    .c_row = partial.pitch()};
  std::vector<std::vector<BrgemmTerm<T>>> terms(static_cast<size_t>(o.kernel_w));
  std::vector<char> started(static_cast<size_t>(taps));
  const auto add = [&](int64_t tap, std::span<const BrgemmTerm<T>> products) {
    T* sum = partial.row<T>((task.split * taps + tap) * x.channels() + task.channels.begin) + task.outputs.begin;
    char& again = started[static_cast<size_t>(tap)];
    brgemm<T>(shape, products, sum, again != 0);
    again = 1;
  };
  for (int64_t unit = task.units.begin; unit < task.units.end; ++unit) {
    const int64_t h = units.row(unit);
    const Range image = units.image(unit), pixels = units.pixels(unit);
    shape.k = image.size();
    for (const Tap& i : rows[static_cast<size_t>(h)]) {
      for (auto& list : terms) list.clear();
      for (int64_t w = pixels.begin; w < pixels.end; ++w) {
        const T* b = dy.row<T>((h * dy.width() + w) * dy.images() + image.begin) + task.outputs.begin;
        for (const Tap& j : columns[static_cast<size_t>(w)]) {
          const T* a = x.row<T>((i.source * x.width() + j.source) * x.images() + image.begin) + task.channels.begin;
          terms[static_cast<size_t>(j.tap)].push_back({a, b});
        }
      }
      for (int64_t j = 0; j < o.kernel_w; ++j) add(i.tap * o.kernel_w + j, terms[static_cast<size_t>(j)]);
    }
  }
  for (int64_t tap = 0; tap < taps; ++tap) {  // taps that never met a pixel
    if (!started[static_cast<size_t>(tap)]) add(tap, {});
  }
}

template <class T>
Tensor weight_gradient(const Tensor& dy, const Tensor& x, const Conv2dOptions& o) {
  constexpr int64_t kChannels = 48, kOutputs = 64;  // of one task's part of dw: whole tiles of brgemm
  const int64_t channel_parts = chunk_count(x.channels(), kChannels);
  const int64_t output_parts = chunk_count(dy.channels(), kOutputs), parts = channel_parts * output_parts;
  const Units units{dy.images(), dy.height(), dy.width()};
  // The units are split as far as it takes to have enough tasks; each split has its own partial sum.
  const int64_t splits = std::clamp<int64_t>(kTasks / parts, 1, std::max<int64_t>(units.count(), 1));
  Tensor partial =
      Tensor::activation_uninitialized(splits, o.kernel_h * o.kernel_w, x.channels(), dy.channels(), x.dtype());
  const Taps rows = forward_taps(dy.height(), x.height(), o.kernel_h, o);
  const Taps columns = forward_taps(dy.width(), x.width(), o.kernel_w, o);
  parallel_for(splits * parts, 1, [&](int64_t task, int64_t) {
    const int64_t split = task / parts, output = task % parts / channel_parts * kOutputs;
    const WeightTask mine{part(x.channels(), channel_parts, task % channel_parts),
                          {output, std::min(dy.channels(), output + kOutputs)},
                          part(units.count(), splits, split),
                          split};
    sum_weight_gradient<T>(dy, x, o, rows, columns, units, mine, partial);
  });
  return fold<T>(partial, o);
}

}  // namespace

Shape conv2d_output_shape(const Shape& x, const Conv2dOptions& o) {
  if (x.rank() != 4 || x[3] != o.in_channels) {
    input_error("conv2d", "x: wanted [H, W, N, C] with C = {}, got {}", o.in_channels, x.text());
  }
  if (x[0] + 2 * o.pad < o.kernel_h || x[1] + 2 * o.pad < o.kernel_w) {
    input_error("conv2d", "x: wanted at least {} x {} with pad {}, got {}", o.kernel_h, o.kernel_w, o.pad, x.text());
  }
  return {(x[0] + 2 * o.pad - o.kernel_h) / o.stride + 1, (x[1] + 2 * o.pad - o.kernel_w) / o.stride + 1, x[2],
          o.out_channels};
}

Tensor conv2d_forward(const Tensor& x, const Tensor& w, const Conv2dOptions& o) {
  const Shape out = conv2d_output_shape(x.shape(), o);
  check_tensor("w", w, weight_shape(o), x.dtype());
  Tensor y = Tensor::activation_uninitialized(out[0], out[1], out[2], out[3], x.dtype());
  visit_float(x.dtype(), [&]<class T>() {
    sum_of_taps<T>(x, pack_weights<T>(w, o, false), o.kernel_w, forward_taps(out[0], x.height(), o.kernel_h, o),
                   forward_taps(out[1], x.width(), o.kernel_w, o), y);
  });
  return y;
}

Tensor conv2d_backward_data(const Tensor& dy, const Tensor& w, const Shape& x_shape, const Conv2dOptions& o) {
  check_tensor("dy", dy, conv2d_output_shape(x_shape, o), dy.dtype());
  check_tensor("w", w, weight_shape(o), dy.dtype());
  Tensor dx = Tensor::activation_uninitialized(x_shape[0], x_shape[1], x_shape[2], x_shape[3], dy.dtype());
  visit_float(dy.dtype(), [&]<class T>() {
    sum_of_taps<T>(dy, pack_weights<T>(w, o, true), o.kernel_w, backward_taps(dy.height(), dx.height(), o.kernel_h, o),
                   backward_taps(dy.width(), dx.width(), o.kernel_w, o), dx);
  });
  return dx;
}

Tensor conv2d_backward_weights(const Tensor& dy, const Tensor& x, const Conv2dOptions& o) {
  check_tensor("dy", dy, conv2d_output_shape(x.shape(), o), x.dtype());
  Tensor dw;
  visit_float(x.dtype(), [&]<class T>() { dw = weight_gradient<T>(dy, x, o); });
  return dw;
}

Var conv2d(const Var& x, const Var& w, const Conv2dOptions& options) {
  return record(conv2d_forward(x.value(), w.value(), options), {x, w}, [x, w, options](const Tensor& dy) {
    if (x.requires_grad()) x.add_grad(conv2d_backward_data(dy, w.value(), x.value().shape(), options));
    if (w.requires_grad()) w.add_grad(conv2d_backward_weights(dy, x.value(), options));
  });
}

Conv2d::Conv2d(const Conv2dOptions& options) : options_(options) {
  constexpr int64_t kMost = 1 << 16;  // keeps the arithmetic on shapes far from overflow
  const auto& o = options_;
  bool good = o.pad >= 0 && o.pad <= kMost;
  for (int64_t value : {o.in_channels, o.out_channels, o.kernel_h, o.kernel_w, o.stride}) {
    good = good && value >= 1 && value <= kMost;
  }
  if (!good) {
    input_error("conv2d", "options: wanted channels, kernel and stride 1..{}, pad 0..{}, got {}", kMost, kMost,
                describe());
  }
}

std::string Conv2d::describe() const {
  const auto& o = options_;
  return fmt::format("{}x{} {}->{} stride {} pad {}", o.kernel_h, o.kernel_w, o.in_channels, o.out_channels, o.stride,
                     o.pad);
}

Shape Conv2d::output_shape(std::span<const Shape> inputs) const { return conv2d_output_shape(inputs[0], options_); }

std::vector<ParameterSpec> Conv2d::parameters() const { return {{"weight", weight_shape(options_), Role::Weight}}; }

Var Conv2d::apply(std::span<const Var> inputs, std::span<Var> parameters, const RunContext&) const {
  return conv2d(inputs[0], parameters[0], options_);
}

}  // namespace kronbit::nn
