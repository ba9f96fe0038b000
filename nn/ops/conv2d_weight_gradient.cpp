// The gradient of a convolution's weights: for every tap a sum over pixels of x^T * dy, matrices images x channels. The
// images are what is summed over, so bf16 products need x transposed and dy in pairs of images: copies made once, for a
// group of images at a time, and used by all taps.
#include <emmintrin.h>

#include "nn/ops/conv2d.h"
#include "nn/ops/conv2d_gather.h"
#include "nn/ops/conv2d_taps.h"
#include "tensor/brgemm/brgemm.h"
#include "tensor/brgemm/pack.h"
#include "tensor/parallel.h"

namespace kronbit::nn {
namespace {

/// What one task sums up: a part of dw, over some of the units.
struct WeightTask {
  Range channels, outputs, units;
  int64_t split;    // where in the partial sums [split][tap][c][o]
  bool accumulate;  // onto what is there
};

/// Numbers of the sum that one product adds up, at least: a part of dw is read and written once for each.
constexpr int64_t kTerms = 256;

/// Images of one term: at least `least`, more where a row of pixels is short.
int64_t images_per_block(const Tensor& dy, int64_t least) {
  return std::max(least, round_up(kTerms / std::max<int64_t>(1, dy.width()), kBlock));
}

/// f32 and f64: the operands are read in place, the transpose by strides.
template <class T>
struct Operands {
  using Sum = T;
  static constexpr bool kCopies = false;
  const Tensor &x, &dy;
  int64_t block_images;
  BrgemmShape shape;

  Operands(const Tensor& x_, const Tensor& dy_)
      : x(x_),
        dy(dy_),
        block_images(images_per_block(dy_, 64)),
        shape{.a_row = 1, .a_col = x_.pitch(), .b_row = dy_.pitch()} {}
  void load(int64_t, int64_t) {}
  Range image(int64_t block) const { return part(x.images(), chunk_count(x.images(), block_images), block); }
  const T* a(int64_t pixel, int64_t block, int64_t channel) const {
    return x.row<T>(pixel * x.images() + image(block).begin) + channel;
  }
  const T* b(int64_t pixel, int64_t block, int64_t output) const {
    return dy.row<T>(pixel * x.images() + image(block).begin) + output;
  }
  void run(std::span<const BrgemmTerm<T>> terms, T* c, bool accumulate) const {
    brgemm<T>(shape, terms, c, accumulate);
  }
};

/// bf16: copies of the blocks of images begin .. end - 1, x as [pixel][block][C][images], dy as
/// [pixel][block][pairs of images][O][2].
template <>
struct Operands<bf16> {
  using Sum = float;
  static constexpr bool kCopies = true;
  const Tensor &x, &dy;
  int64_t block_images;
  BrgemmPairsShape shape;
  Tensor transposed, pairs;
  int64_t begin = 0, end = 0;

  Operands(const Tensor& x_, const Tensor& dy_)
      : x(x_),
        dy(dy_),
        block_images(images_per_block(dy_, kBlock)),
        shape{.a_row = block_images, .b_pair = 2 * dy_.pitch()} {}

  void load(int64_t first_block, int64_t end_block) {
    if (end - begin != end_block - first_block) {
      transposed =
          Tensor::uninitialized({x.height() * x.width(), end_block - first_block, x.pitch() * block_images}, x.dtype());
      pairs = Tensor::uninitialized({dy.height() * dy.width(), end_block - first_block, dy.pitch() * block_images},
                                    x.dtype());
    }
    begin = first_block;
    end = end_block;
    const int64_t blocks = end - begin, images = x.images();
    parallel_for(transposed.rows(), 4, [&](int64_t from, int64_t to) {
      for (int64_t r = from; r < to; ++r) {
        const Range i = image(begin + r % blocks);
        pack_transpose(x.row<bf16>(r / blocks * images + i.begin), i.size(), x.pitch(), x.pitch(),
                       transposed.row<bf16>(r), block_images);
      }
    });
    parallel_for(pairs.rows(), 4, [&](int64_t from, int64_t to) {
      for (int64_t r = from; r < to; ++r) {
        const Range i = image(begin + r % blocks);
        pack_pairs(dy.row<bf16>(r / blocks * images + i.begin), i.size(), dy.pitch(), dy.pitch(), pairs.row<bf16>(r),
                   2 * dy.pitch());
      }
    });
  }
  Range image(int64_t block) const { return {block * block_images, std::min(x.images(), (block + 1) * block_images)}; }
  const bf16* a(int64_t pixel, int64_t block, int64_t channel) const {
    return transposed.row<bf16>(pixel * (end - begin) + block - begin) + channel * block_images;
  }
  const bf16* b(int64_t pixel, int64_t block, int64_t output) const {
    return pairs.row<bf16>(pixel * (end - begin) + block - begin) + 2 * output;
  }
  void run(std::span<const BrgemmTerm<bf16>> terms, float* c, bool accumulate) const {
    BrgemmPairsShape even = shape;
    even.k = round_up(shape.k, 2);
    brgemm(even, terms, c, accumulate);
  }
};

/// The sum over pixels and images, cut into units: a block of images, a row of dy, a segment of that row. A unit is
/// small enough that its numbers stay in the first caches while all taps use them.
struct Units {
  int64_t first_block, blocks;  // of images
  int64_t height, width;        // of dy
  int64_t segments;

  Units(int64_t first, int64_t count, const Tensor& dy, int64_t images)
      : first_block(first),
        blocks(count),
        height(dy.height()),
        width(dy.width()),
        segments(chunk_count(width, std::max<int64_t>(1, kTerms / std::max<int64_t>(1, images)))) {}
  int64_t count() const { return blocks * height * segments; }
  int64_t block(int64_t unit) const { return first_block + unit / segments / height; }
  int64_t row(int64_t unit) const { return unit / segments % height; }
  Range pixels(int64_t unit) const { return part(width, segments, unit % segments); }
};

template <class T>
void sum_task(Operands<T> operands, const Conv2dOptions& o, const Taps& rows, const Taps& columns, const Units& units,
              const WeightTask& task, Tensor& partial) {
  const Tensor &x = operands.x, &dy = operands.dy;
  const int64_t taps = o.kernel_h * o.kernel_w;
  operands.shape.m = task.channels.size();
  operands.shape.n = task.outputs.size();
  operands.shape.c_row = partial.pitch();
  std::vector<std::vector<BrgemmTerm<T>>> terms(static_cast<size_t>(o.kernel_w));
  std::vector<char> started(static_cast<size_t>(taps), task.accumulate);
  const auto add = [&](int64_t tap, std::span<const BrgemmTerm<T>> products) {
    auto* sum = partial.row<typename Operands<T>::Sum>((task.split * taps + tap) * x.channels() + task.channels.begin) +
                task.outputs.begin;
    char& again = started[static_cast<size_t>(tap)];
    if (!again || !products.empty()) operands.run(products, sum, again != 0);
    again = 1;
  };
  for (int64_t unit = task.units.begin; unit < task.units.end; ++unit) {
    const int64_t h = units.row(unit), block = units.block(unit);
    const Range pixels = units.pixels(unit);
    operands.shape.k = operands.image(block).size();
    for (const Tap& i : rows[static_cast<size_t>(h)]) {
      for (auto& list : terms) list.clear();
      for (int64_t w = pixels.begin; w < pixels.end; ++w) {
        const T* b = operands.b(h * dy.width() + w, block, task.outputs.begin);
        for (const Tap& j : columns[static_cast<size_t>(w)]) {
          const T* a = operands.a(i.source * x.width() + j.source, block, task.channels.begin);
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

/// to[c][r] = from[r][c] for 4 rows and 4 columns.
void transpose_4x4(const float* from, int64_t from_row, float* to, int64_t to_row) {
  __m128 a = _mm_loadu_ps(from), b = _mm_loadu_ps(from + from_row), c = _mm_loadu_ps(from + 2 * from_row),
         d = _mm_loadu_ps(from + 3 * from_row);
  _MM_TRANSPOSE4_PS(a, b, c, d);
  _mm_storeu_ps(to, a);
  _mm_storeu_ps(to + to_row, b);
  _mm_storeu_ps(to + 2 * to_row, c);
  _mm_storeu_ps(to + 3 * to_row, d);
}

/// to[c][r] = from[r][c]
template <class T>
void transpose(const T* from, int64_t rows, int64_t columns, int64_t from_row, T* to, int64_t to_row) {
  int64_t whole_rows = 0, whole_columns = 0;
  if constexpr (std::is_same_v<T, float>) {
    whole_rows = rows / 4 * 4;
    whole_columns = columns / 4 * 4;
    for (int64_t c = 0; c < whole_columns; c += 4)
      for (int64_t r = 0; r < whole_rows; r += 4)
        transpose_4x4(from + r * from_row + c, from_row, to + c * to_row + r, to_row);
  }
  for (int64_t c = 0; c < columns; ++c)
    for (int64_t r = c < whole_columns ? whole_rows : 0; r < rows; ++r) to[c * to_row + r] = from[r * from_row + c];
}

/// dw[o][c][tap] = sum over the splits of partial[split][tap][c][o], in order.
template <class T>
Tensor fold(const Tensor& partial, const Conv2dOptions& o) {
  const int64_t splits = partial.height(), taps = partial.width(), channels = partial.images();
  constexpr int64_t kPanel = kBlock, kRows = 16;  // channels of one task: its sums fit the L1 cache
  const int64_t row_blocks = chunk_count(channels, kRows), panels = chunk_count(o.out_channels, kPanel);
  Tensor dw = Tensor::uninitialized({o.out_channels, o.in_channels, o.kernel_h, o.kernel_w}, partial.dtype());
  parallel_for(panels * row_blocks, 1, [&](int64_t task, int64_t) {
    const int64_t first = task / row_blocks * kPanel, width = std::min(kPanel, o.out_channels - first);
    const int64_t begin = task % row_blocks * kRows, count = std::min(kRows, channels - begin);
    std::vector<T> sums(static_cast<size_t>(count * taps * kPanel));  // [c][tap][o]
    for (int64_t split = 0; split < splits; ++split) {
      for (int64_t tap = 0; tap < taps; ++tap) {
        for (int64_t c = 0; c < count; ++c) {
          const T* from = partial.row<T>((split * taps + tap) * channels + begin + c) + first;
          T* to = sums.data() + (c * taps + tap) * kPanel;
#pragma omp simd
          for (int64_t k = 0; k < width; ++k) to[k] += from[k];
        }
      }
    }
    transpose(sums.data(), count * taps, width, kPanel, dw.data<T>() + (first * channels + begin) * taps,
              channels * taps);
  });
  return dw;
}

constexpr int64_t kMegabyte = 1 << 20;

template <class T>
Tensor weight_gradient(const Tensor& dy, const Tensor& x, const Conv2dOptions& o) {
  using Sum = typename Operands<T>::Sum;
  constexpr int64_t kChannels = sizeof(T) == 2 ? 64 : 48, kOutputs = 64;  // of one task: whole tiles of brgemm
  constexpr int64_t kTasks = 64;
  const int64_t channel_parts = chunk_count(x.channels(), kChannels);
  const int64_t output_parts = chunk_count(dy.channels(), kOutputs), parts = channel_parts * output_parts;
  const int64_t taps = o.kernel_h * o.kernel_w;
  const int64_t bytes = taps * x.channels() * dy.pitch() * static_cast<int64_t>(sizeof(Sum));
  // The units are split as far as it takes to have enough tasks, but each split has its own sums to be added up.
  const int64_t splits =
      std::clamp<int64_t>(std::min(kTasks / parts, 4 * kMegabyte / std::max<int64_t>(1, bytes)), 1, kTasks);
  Tensor partial = Tensor::activation_uninitialized(splits, taps, x.channels(), dy.channels(), dtype_of<Sum>());
  const Taps rows = forward_taps(dy.height(), x.height(), o.kernel_h, o);
  const Taps columns = forward_taps(dy.width(), x.width(), o.kernel_w, o);
  Operands<T> operands(x, dy);
  // Images of one group: the copies of their rows stay in the last cache.
  const int64_t blocks = chunk_count(x.images(), operands.block_images);
  const int64_t block_bytes = (x.height() * x.width() * x.pitch() + dy.height() * dy.width() * dy.pitch()) *
                              operands.block_images * static_cast<int64_t>(sizeof(T));
  const int64_t groups = Operands<T>::kCopies ? std::clamp<int64_t>(blocks * block_bytes / (16 * kMegabyte), 1,
                                                                    std::max<int64_t>(1, blocks))
                                              : 1;
  for (int64_t group = 0; group < groups; ++group) {
    const Range block = part(blocks, groups, group);
    operands.load(block.begin, block.end);
    const Units units(block.begin, block.size(), dy, std::min(x.images(), operands.block_images));
    parallel_for(splits * parts, 1, [&](int64_t task, int64_t) {
      const int64_t split = task / parts, channel = task % parts % channel_parts,
                    output = task % parts / channel_parts * kOutputs;
      const WeightTask mine{part(x.channels(), channel_parts, channel),
                            {output, std::min(dy.channels(), output + kOutputs)},
                            part(units.count(), splits, split),
                            split,
                            group > 0};
      sum_task<T>(operands, o, rows, columns, units, mine, partial);
    });
  }
  return fold<Sum>(partial, o);
}

}  // namespace

Tensor conv2d_backward_weights(const Tensor& dy, const Tensor& x, const Conv2dOptions& o) {
  if (gathers(o)) {
    return conv2d_backward_weights(dy, gather(x, o), gathered(o))
        .reshaped({o.out_channels, o.in_channels, o.kernel_h, o.kernel_w});
  }
  check_conv2d("dy", dy, conv2d_output_shape(x, o), x.dtype());
  check_padded("dy", dy);
  return visit_number(x.dtype(), [&]<class T>() { return weight_gradient<T>(dy, x, o); });
}

}  // namespace kronbit::nn
