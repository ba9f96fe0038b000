#include "nn/ops/conv2d_products.h"

#include "nn/ops/conv2d_gather.h"
#include "nn/ops/conv2d_pack.h"
#include "nn/ops/conv2d_taps.h"
#include "tensor/brgemm/brgemm.h"
#include "tensor/parallel.h"

namespace kronbit::nn {
namespace {

/// Rows of one product, of `pitch` numbers each: enough for its tiles and for what a call costs, few enough that a row
/// of pixels stays in the L2 cache.
int64_t rows_per_product(int64_t pitch) { return std::clamp<int64_t>(4096 / pitch, 64, 256); }
/// Columns of one product, and of one panel of packed weights.
constexpr int64_t kPanel = kBlock;
/// Parallel tasks worth having.
constexpr int64_t kTasks = 64;

/// Forward: k = input channel, column = output channel; backward-data: the other way round.
template <class T>
Tensor pack(const Tensor& w, const Conv2dOptions& o, bool backward) {
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

template <class T>
struct Product {
  BrgemmShape shape;
  Product(const Tensor& from, const Tensor& to)
      : shape{.k = from.channels(), .a_row = from.pitch(), .b_row = kPanel, .c_row = to.pitch()} {}
  void run(std::span<const BrgemmTerm<T>> terms, T* c) const { brgemm<T>(shape, terms, c, false); }
};
template <>
struct Product<bf16> {
  BrgemmPairsShape shape;
  Product(const Tensor& from, const Tensor& to)
      : shape{.k = from.pitch(), .a_row = from.pitch(), .b_pair = 2 * kPanel, .c_row = to.pitch()} {}
  void run(std::span<const BrgemmTerm<bf16>> terms, bf16* c) const { brgemm(shape, terms, c); }
};

int64_t image_blocks(int64_t images, int64_t pitch) { return chunk_count(images, rows_per_product(pitch)); }

/// Everything a row of pixels of the result needs.
template <class T>
struct SumOfTaps {
  const Tensor& from;
  const Tensor& weights;
  int64_t kernel_h, kernel_w;
  Taps rows, columns;
  std::vector<Range> pixels;  // of the result, that are one product each
  Tensor& to;
  const RowSink& sink;

  /// to[h][w] = sum over the taps of (h, w) of from[source] * weights[tap], for a row h, a block of images and a panel.
  void run(int64_t h, int64_t block, int64_t panel) const {
    const int64_t images = from.images(), first = panel * kPanel;
    const Range image = part(images, image_blocks(images, from.pitch()), block);
    const int64_t taps = kernel_h * kernel_w;
    Product<T> product(from, to);
    product.shape.n = std::min(kPanel, to.channels() - first);
    const T* panel_weights = weights.data<T>() + panel * taps * product.shape.k * kPanel;
    std::vector<BrgemmTerm<T>> terms;
    for (const Range& run : pixels) {
      terms.clear();
      for (const Tap& i : rows[static_cast<size_t>(h)]) {
        for (const Tap& j : columns[static_cast<size_t>(run.begin)]) {
          const int64_t tap = i.tap * kernel_w + j.tap, pixel = i.source * from.width() + j.source;
          terms.push_back({from.row<T>(pixel * images + image.begin), panel_weights + tap * product.shape.k * kPanel});
        }
      }
      const int64_t row = (h * to.width() + run.begin) * images + image.begin;
      product.shape.m = image.size() + (run.size() - 1) * images;
      product.run(terms, to.row<T>(row) + first);
      if (sink) sink(to, {row, product.shape.m, first, std::min(kPanel, to.pitch() - first), block * to.height() + h});
    }
  }
};

template <class T>
void sum_of_taps(const Tensor& from, const Tensor& weights, const Conv2dOptions& o, Taps rows, Taps columns, Tensor& to,
                 const RowSink& sink) {
  const int64_t images = from.images(), blocks = image_blocks(images, from.pitch()),
                panels = chunk_count(to.channels(), kPanel);
  // Only whole pixels can be joined: all images, and few of them.
  const int64_t most =
      blocks == 1 ? std::max<int64_t>(1, rows_per_product(from.pitch()) / std::max<int64_t>(1, images)) : 1;
  std::vector<Range> pixels = runs(columns, most);
  const SumOfTaps<T> sum{from, weights, o.kernel_h, o.kernel_w, std::move(rows), std::move(columns), std::move(pixels),
                         to,   sink};
  const int64_t outer = blocks * to.height();
  // Panels of one row of pixels follow each other on one thread, so they find that row in the cache.
  parallel_for(outer * panels, outer >= kTasks ? panels : 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task)
      sum.run(task / panels % to.height(), task / panels / to.height(), task % panels);
  });
}

}  // namespace

int64_t row_groups(const Shape& result, const Conv2dOptions& o) {
  return image_blocks(result[2], pitch_of(o.in_channels)) * result[0];
}

PackedConvWeights pack_conv2d(const Tensor& w, DType type, const Conv2dOptions& o, bool backward) {
  const int64_t taps = o.kernel_h * o.kernel_w;
  const Tensor gathered_w = gathers(o) ? w.reshaped({o.out_channels, o.in_channels * taps, 1, 1}) : w;
  const Conv2dOptions gathered_o = gathers(o) ? gathered(o) : o;
  PackedConvWeights packed;
  if (type == DType::BF16) {
    packed = pack_conv_weights(gathered_w, backward && !gathers(o));
    if (backward && gathers(o)) packed.backward = pack_conv_weights(w, true).backward;
    return packed;
  }
  visit_float(type, [&]<class T>() {
    packed.forward = pack<T>(gathered_w, gathered_o, false);
    if (backward) packed.backward = pack<T>(w, o, true);
  });
  return packed;
}

const PackedConvWeights& ConvWeightCache::get(const Convolution& layer, const Tensor& w, DType type) {
  const auto [entry, fresh] = packed_.try_emplace({&layer, w.data<float>(), type});
  if (fresh) entry->second = pack_conv2d(layer.weights(w), type, layer.options(), false);
  return entry->second;
}

Tensor conv2d_forward(const Tensor& x, const PackedConvWeights& w, const Conv2dOptions& o, const RowSink& sink) {
  if (gathers(o)) return conv2d_forward(gather(x, o), w, gathered(o), sink);
  const Shape out = conv2d_output_shape(x, o);
  Tensor y = Tensor::activation_uninitialized(out[0], out[1], out[2], out[3], x.dtype());
  visit_number(x.dtype(), [&]<class T>() {
    sum_of_taps<T>(x, w.forward, o, forward_taps(out[0], x.height(), o.kernel_h, o),
                   forward_taps(out[1], x.width(), o.kernel_w, o), y, sink);
  });
  return y;
}

Tensor conv2d_backward_data(const Tensor& dy, const PackedConvWeights& w, const Shape& x_shape,
                            const Conv2dOptions& o) {
  Tensor dx = Tensor::activation_uninitialized(x_shape[0], x_shape[1], x_shape[2], x_shape[3], dy.dtype());
  visit_number(dy.dtype(), [&]<class T>() {
    sum_of_taps<T>(dy, w.backward, o, backward_taps(dy.height(), dx.height(), o.kernel_h, o),
                   backward_taps(dy.width(), dx.width(), o.kernel_w, o), dx, {});
  });
  return dx;
}

}  // namespace kronbit::nn
