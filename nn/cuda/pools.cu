// Pooling: a thread makes eight neighbouring channels of one pixel of one image. Sums are taken in the order of nn/ops,
// so the results have the same bits.
#include "nn/cuda/sides.h"
#include "tensor/cuda/bf16_lanes.h"
#include "tensor/cuda/failure.h"

namespace kronbit::KB_SIDE {
namespace {

constexpr int kNoPosition = 255;

struct PoolWork {
  const uint16_t* from;
  uint16_t* to;
  uint8_t* index;
  int height, width, out_height, out_width;
  int lanes;  // pieces of eight numbers of one pixel: images * pitch / 8
  int kernel, stride, pad;
  bool count_padding;
  int64_t items;
};

/// The piece that `item` names, in a map `width` wide.
struct Piece {
  int h, w, lane;
  __device__ __forceinline__ Piece(int64_t item, int lanes, int width) {
    const int pixel = static_cast<int>(item / lanes);
    lane = static_cast<int>(item - static_cast<int64_t>(pixel) * lanes);
    h = pixel / width;
    w = pixel - h * width;
  }
};
__device__ __forceinline__ int64_t number_of(int h, int w, int width, int lanes, int lane) {
  return (static_cast<int64_t>(h * width + w) * lanes + lane) * 8;
}

/// The part of window `i` inside [0, extent), and its length up to the padded border.
struct Window {
  int start, begin, end, padded;
  __device__ __forceinline__ Window(const PoolWork& k, int i, int extent) {
    start = i * k.stride - k.pad;
    const int far = min(start + k.kernel, extent + k.pad);
    begin = max(start, 0);
    end = min(far, extent);
    padded = far - start;
  }
};
/// The windows that hold element `at`.
struct Windows {
  int begin, end;
  __device__ __forceinline__ Windows(const PoolWork& k, int at, int windows) {
    const int from_border = at + k.pad;
    begin = from_border < k.kernel ? 0 : (from_border - k.kernel) / k.stride + 1;
    end = min(windows, from_border / k.stride + 1);
  }
};
__device__ __forceinline__ float weight_of(const PoolWork& k, const Window& rows, const Window& columns) {
  const int inside = (rows.end - rows.begin) * (columns.end - columns.begin);
  return 1.0f / static_cast<float>(k.count_padding ? rows.padded * columns.padded : inside);
}

__global__ void __launch_bounds__(kOpThreads) max_kernel(PoolWork k) {
  for (int64_t item = first_item(); item < k.items; item += item_step()) {
    const Piece at(item, k.lanes, k.out_width);
    const Window rows(k, at.h, k.height), columns(k, at.w, k.width);
    Eight best = load_eight(k.from + number_of(rows.begin, columns.begin, k.width, k.lanes, at.lane)), nan = best;
    int position[8];
    KB_UNROLL
    for (int i = 0; i < 8; ++i) position[i] = (rows.begin - rows.start) * k.kernel + columns.begin - columns.start;
    for (int h = rows.begin; h < rows.end; ++h) {
      for (int w = columns.begin; w < columns.end; ++w) {
        const Eight v = load_eight(k.from + number_of(h, w, k.width, k.lanes, at.lane));
        const int here = (h - rows.start) * k.kernel + w - columns.start;
        KB_UNROLL
        for (int i = 0; i < 8; ++i) {
          const bool larger = v.v[i] > best.v[i];
          best.v[i] = larger ? v.v[i] : best.v[i];
          position[i] = larger ? here : position[i];
          nan.v[i] = v.v[i] == v.v[i] ? nan.v[i] : v.v[i];
        }
      }
    }
    uint32_t words[2] = {};
    KB_UNROLL
    for (int i = 0; i < 8; ++i) {
      const bool strange = nan.v[i] != nan.v[i];
      best.v[i] = strange ? nan.v[i] : best.v[i];
      words[i / 4] |= static_cast<uint32_t>(strange ? kNoPosition : position[i]) << (i % 4 * 8);
    }
    store_eight(k.to + item * 8, best);
    if (k.index != nullptr) *reinterpret_cast<uint2*>(k.index + item * 8) = make_uint2(words[0], words[1]);
  }
}

/// Every element gathers its shares from the windows that hold it; from = dy.
__global__ void __launch_bounds__(kOpThreads) max_backward_kernel(PoolWork k) {
  for (int64_t item = first_item(); item < k.items; item += item_step()) {
    const Piece at(item, k.lanes, k.width);
    const Windows rows(k, at.h, k.out_height), columns(k, at.w, k.out_width);
    Eight sum = {};
    for (int i = rows.begin; i < rows.end; ++i) {
      for (int j = columns.begin; j < columns.end; ++j) {
        const int mine = (at.h - (i * k.stride - k.pad)) * k.kernel + at.w - (j * k.stride - k.pad);
        const int64_t number = number_of(i, j, k.out_width, k.lanes, at.lane);
        const uint2 index = *reinterpret_cast<const uint2*>(k.index + number);
        const Eight dy = load_eight(k.from + number);
        KB_UNROLL
        for (int e = 0; e < 8; ++e) {
          const unsigned position = (e < 4 ? index.x : index.y) >> (e % 4 * 8) & 255u;
          sum.v[e] += position == static_cast<unsigned>(mine) ? dy.v[e] : 0.0f;
        }
      }
    }
    store_eight(k.to + item * 8, sum);
  }
}

__global__ void __launch_bounds__(kOpThreads) avg_kernel(PoolWork k) {
  for (int64_t item = first_item(); item < k.items; item += item_step()) {
    const Piece at(item, k.lanes, k.out_width);
    const Window rows(k, at.h, k.height), columns(k, at.w, k.width);
    Eight sum = {};
    for (int h = rows.begin; h < rows.end; ++h) {
      for (int w = columns.begin; w < columns.end; ++w) {
        const Eight v = load_eight(k.from + number_of(h, w, k.width, k.lanes, at.lane));
        KB_UNROLL
        for (int i = 0; i < 8; ++i) sum.v[i] += v.v[i];
      }
    }
    const float weight = weight_of(k, rows, columns);
    KB_UNROLL
    for (int i = 0; i < 8; ++i) sum.v[i] *= weight;
    store_eight(k.to + item * 8, sum);
  }
}

__global__ void __launch_bounds__(kOpThreads) avg_backward_kernel(PoolWork k) {
  for (int64_t item = first_item(); item < k.items; item += item_step()) {
    const Piece at(item, k.lanes, k.width);
    const Windows rows(k, at.h, k.out_height), columns(k, at.w, k.out_width);
    Eight sum = {};
    for (int i = rows.begin; i < rows.end; ++i) {
      for (int j = columns.begin; j < columns.end; ++j) {
        const float weight = weight_of(k, Window(k, i, k.height), Window(k, j, k.width));
        const Eight dy = load_eight(k.from + number_of(i, j, k.out_width, k.lanes, at.lane));
        KB_UNROLL
        for (int e = 0; e < 8; ++e) sum.v[e] += weight * dy.v[e];
      }
    }
    store_eight(k.to + item * 8, sum);
  }
}

__global__ void __launch_bounds__(kOpThreads) global_kernel(PoolWork k) {
  const float weight = 1.0f / static_cast<float>(k.height * k.width);
  for (int64_t item = first_item(); item < k.items; item += item_step()) {
    Eight sum = {};
    for (int p = 0; p < k.height * k.width; ++p) {
      const Eight v = load_eight(k.from + (static_cast<int64_t>(p) * k.lanes + item) * 8);
      KB_UNROLL
      for (int i = 0; i < 8; ++i) sum.v[i] += v.v[i];
    }
    KB_UNROLL
    for (int i = 0; i < 8; ++i) sum.v[i] *= weight;
    store_eight(k.to + item * 8, sum);
  }
}

__global__ void __launch_bounds__(kOpThreads) global_backward_kernel(PoolWork k) {
  const float weight = 1.0f / static_cast<float>(k.height * k.width);
  for (int64_t item = first_item(); item < k.items; item += item_step()) {
    Eight v = load_eight(k.from + item % k.lanes * 8);
    KB_UNROLL
    for (int i = 0; i < 8; ++i) v.v[i] *= weight;
    store_eight(k.to + item * 8, v);
  }
}

void run(void (*kernel)(PoolWork), const nn::PoolGeometry& g, const bf16* from, bf16* to, uint8_t* index, int pixels,
         const DeviceQueue& queue) {
  PoolWork k{bits(from), bits(to),     index,       g.height,
             g.width,    g.out_height, g.out_width, g.images * nn::channels_pitch(g.channels) / 8,
             g.kernel,   g.stride,     g.pad,       g.count_include_pad,
             0};
  k.items = static_cast<int64_t>(pixels) * k.lanes;
  if (k.items > 0) launch(blocks_for(k.items, queue), kernel)(k);
}

}  // namespace

void max_pool(const nn::PoolGeometry& g, const bf16* x, bf16* y, uint8_t* index, const DeviceQueue& queue) {
  if (g.kernel > 15) device_failure("max_pool", "its windows are larger than 15 x 15");
  run(max_kernel, g, x, y, index, g.out_height * g.out_width, queue);
}
void max_pool_backward(const nn::PoolGeometry& g, const bf16* dy, const uint8_t* index, bf16* dx,
                       const DeviceQueue& queue) {
  run(max_backward_kernel, g, dy, dx, const_cast<uint8_t*>(index), g.height * g.width, queue);  // only read
}
void avg_pool(const nn::PoolGeometry& g, const bf16* x, bf16* y, const DeviceQueue& queue) {
  run(avg_kernel, g, x, y, nullptr, g.out_height * g.out_width, queue);
}
void avg_pool_backward(const nn::PoolGeometry& g, const bf16* dy, bf16* dx, const DeviceQueue& queue) {
  run(avg_backward_kernel, g, dy, dx, nullptr, g.height * g.width, queue);
}
void global_avg_pool(const nn::PoolGeometry& g, const bf16* x, bf16* y, const DeviceQueue& queue) {
  run(global_kernel, g, x, y, nullptr, 1, queue);
}
void global_avg_pool_backward(const nn::PoolGeometry& g, const bf16* dy, bf16* dx, const DeviceQueue& queue) {
  run(global_backward_kernel, g, dy, dx, nullptr, g.height * g.width, queue);
}

}  // namespace kronbit::KB_SIDE
