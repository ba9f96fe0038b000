// The linear layer in float: y = x w^T + b and its gradients are one tiled product with strides, 64 x 64 numbers per
// block, summed over in order. Small beside the convolutions, so without tensor cores: parameters stay float.
#include "nn/cuda/sides.h"
#include "tensor/cuda/bf16_lanes.h"

namespace kronbit::KB_SIDE {
namespace {

constexpr int kTile = 64, kDepth = 16;

__device__ __forceinline__ float number_at(const float* from, int64_t at) { return from[at]; }
__device__ __forceinline__ float number_at(const uint16_t* from, int64_t at) { return bf16_value(from[at]); }
__device__ __forceinline__ void store_at(float* to, int64_t at, float v) { to[at] = v; }
__device__ __forceinline__ void store_at(uint16_t* to, int64_t at, float v) { to[at] = to_bf16(v); }

/// c[row * c_row + column] = bias[column] + sum over i of a[row * a_row + i * a_step] b[i * b_step + column *
/// b_column]; columns from `live_columns` on are zero.
template <class A, class B, class C>
struct Product {
  const A* a;
  const B* b;
  const float* bias;  // may be null
  C* c;
  int rows, columns, depth, live_columns;
  int64_t a_row, a_step, b_step, b_column, c_row;
};

template <class A, class B, class C>
__global__ void __launch_bounds__(kOpThreads) product_kernel(Product<A, B, C> k) {
  __shared__ float a[kDepth][kTile + 4], b[kDepth][kTile + 4];
  const int t = static_cast<int>(threadIdx.x), first_row = static_cast<int>(blockIdx.y) * kTile;
  const int first_column = static_cast<int>(blockIdx.x) * kTile;
  float sum[4][4] = {};
  for (int i = 0; i < k.depth; i += kDepth) {
    // Neighbouring threads take neighbouring numbers in memory.
    for (int at = t; at < kTile * kDepth; at += kOpThreads) {
      const int row = k.a_step == 1 ? at / kDepth : at % kTile, a_depth = k.a_step == 1 ? at % kDepth : at / kTile;
      const bool a_live = first_row + row < k.rows && i + a_depth < k.depth;
      a[a_depth][row] = a_live ? number_at(k.a, (first_row + row) * k.a_row + (i + a_depth) * k.a_step) : 0.0f;
      const int column = k.b_step == 1 ? at / kDepth : at % kTile, b_depth = k.b_step == 1 ? at % kDepth : at / kTile;
      const bool b_live = first_column + column < k.live_columns && i + b_depth < k.depth;
      b[b_depth][column] =
          b_live ? number_at(k.b, (i + b_depth) * k.b_step + (first_column + column) * k.b_column) : 0.0f;
    }
    __syncthreads();
    KB_UNROLL
    for (int d = 0; d < kDepth; ++d) {
      KB_UNROLL
      for (int r = 0; r < 4; ++r) KB_UNROLL
      for (int c = 0; c < 4; ++c) sum[r][c] = __fmaf_rn(a[d][t / 16 + 16 * r], b[d][t % 16 + 16 * c], sum[r][c]);
    }
    __syncthreads();
  }
  for (int r = 0; r < 4; ++r) {
    for (int c = 0; c < 4; ++c) {
      const int row = first_row + t / 16 + 16 * r, column = first_column + t % 16 + 16 * c;
      if (row >= k.rows || column >= k.columns) continue;
      const float bias = k.bias != nullptr && column < k.live_columns ? k.bias[column] : 0.0f;
      store_at(k.c, row * k.c_row + column, sum[r][c] + bias);
    }
  }
}

template <class A, class B, class C>
void run(const Product<A, B, C>& k, const DeviceQueue& queue) {
  if (k.rows == 0 || k.columns == 0) return;
  launch({.blocks_x = static_cast<unsigned>((k.columns + kTile - 1) / kTile),
          .blocks_y = static_cast<unsigned>((k.rows + kTile - 1) / kTile),
          .threads = kOpThreads,
          .stream = queue.stream,
          .backward = queue.backward},
         product_kernel<A, B, C>)(k);
}

/// One warp for every column: lane after lane, then lanes in pairs.
__global__ void __launch_bounds__(kOpThreads)
    sum_columns_kernel(const float* x, int rows, int pitch, int columns, float* sums) {
  const int column = static_cast<int>(first_item() / 32), lane = static_cast<int>(threadIdx.x) % 32;
  if (column >= columns) return;
  float sum = 0;
  for (int r = lane; r < rows; r += 32) sum += x[static_cast<int64_t>(r) * pitch + column];
  for (int other = 16; other > 0; other /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, other);
  if (lane == 0) sums[column] = sum;
}

}  // namespace

void linear(const nn::LinearGeometry& g, const bf16* x, const float* w, const float* b, float* y,
            const DeviceQueue& queue) {
  const int pitch = nn::channels_pitch(g.channels), out_pitch = nn::channels_pitch(g.outputs);
  run(Product<uint16_t, float, float>{bits(x), w, b, y, g.images, out_pitch, g.channels, g.outputs, pitch, 1, 1,
                                      g.channels, out_pitch},
      queue);
}

void linear_backward(const nn::LinearGeometry& g, const float* dy, const bf16* x, const float* w, bf16* dx, float* dw,
                     float* db, const DeviceQueue& queue) {
  const int pitch = nn::channels_pitch(g.channels), out_pitch = nn::channels_pitch(g.outputs);
  run(Product<float, float, uint16_t>{dy, w, nullptr, bits(dx), g.images, pitch, g.outputs, g.channels, out_pitch, 1,
                                      g.channels, 1, pitch},
      queue);
  run(Product<float, uint16_t, float>{dy, bits(x), nullptr, dw, g.outputs, g.channels, g.images, g.channels, 1,
                                      out_pitch, pitch, 1, g.channels},
      queue);
  if (g.outputs > 0)
    launch({.blocks_x = static_cast<unsigned>((g.outputs * 32 + kOpThreads - 1) / kOpThreads),
            .threads = kOpThreads,
            .stream = queue.stream,
            .backward = queue.backward},
           sum_columns_kernel)(dy, g.images, out_pitch, g.outputs, db);
}

}  // namespace kronbit::KB_SIDE
