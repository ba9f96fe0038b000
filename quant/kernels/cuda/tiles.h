// What the kernels for many rows share: a block of threads computes a tile of output rows x outputs, step by step, a
// step being one tap of the convolution and one block of 32 channels. Steps are copied from global to shared memory
// some steps ahead of the arithmetic.
//
// Output rows follow one another pixel by pixel, the images within a pixel (quant/kernels/cuda/device_product.h), so a
// tile covers few pixels, and a tap that is outside the image for all of them is no step at all.
//
// Blocks of 32 channels are counted in 32 bits, bytes are not.
#pragma once

#include "quant/kernels/cuda/kernels.h"
#include "tensor/cuda/simt.h"
#include "tensor/cuda/tensor_core.h"

namespace kronbit::quant::KB_SIDE {

using namespace kronbit::KB_SIDE;  // NOLINT: the dialect

/// Where an output row reads: the pixel (y, x) under tap (0, 0), which may be outside, and the row that it has.
struct ReadRow {
  int y, x, row;
};
/// Of a row behind the last one, all taps are outside.
__device__ __forceinline__ ReadRow read_row(const ProductArguments& a, int out_row) {
  if (out_row >= a.out_rows) return {-(1 << 30), 0, 0};
  const int pixel = out_row / a.images, n = out_row - pixel * a.images;
  const int out_y = pixel / a.out_width, out_x = pixel - out_y * a.out_width;
  const int y = out_y * a.stride - a.pad, x = out_x * a.stride - a.pad;
  return {y, x, (y * a.width + x) * a.images + n};
}
__device__ __forceinline__ bool is_inside(const ProductArguments& a, const ReadRow& at, int ky, int kx) {
  return static_cast<unsigned>(at.y + ky) < static_cast<unsigned>(a.height) &&
         static_cast<unsigned>(at.x + kx) < static_cast<unsigned>(a.width);
}

/// Runs through the taps that a tile needs and the blocks of each.
struct Steps {
  uint64_t taps = 0;  ///< bit ky * kernel_w + kx
  int count = 0;      ///< of steps
  int tap = -1, ky = 0, kx = -1, block = 0;

  /// For all threads of a warp together.
  __device__ Steps(const ProductArguments& a, int first_row, int rows) {
    for (int lane_row = 0; lane_row < rows; lane_row += 32) {
      const ReadRow at = read_row(a, first_row + min(lane_row + static_cast<int>(threadIdx.x % 32), rows - 1));
      for (int y = 0, bit = 0; y < a.kernel_h; ++y)
        for (int x = 0; x < a.kernel_w; ++x, ++bit)
          if (__any_sync(0xffffffffu, is_inside(a, at, y, x))) taps |= uint64_t{1} << bit;
    }
    count = (__popc(static_cast<unsigned>(taps)) + __popc(static_cast<unsigned>(taps >> 32))) * a.blocks;
    block = a.blocks - 1;
    advance(a, 1);
  }
  /// The step after next for n = 2, and so on; behind the last one, count tells.
  __device__ __forceinline__ void advance(const ProductArguments& a, int n) {
    for (block += n; block >= a.blocks; block -= a.blocks) {
      do {
        ++tap;
        if (++kx == a.kernel_w) {
          kx = 0;
          ++ky;
        }
      } while (tap < kMaxDeviceTaps && (taps >> tap & 1) == 0);
    }
  }
  /// The block of the input that a row reads in this step: [row][block].
  __device__ __forceinline__ int64_t input_block(const ProductArguments& a, const ReadRow& at) const {
    return (at.row + (ky * a.width + kx) * a.images) * a.blocks + block;
  }
  /// The block of the weights of a panel: [panel][tap][block].
  __device__ __forceinline__ int64_t weight_block(const ProductArguments& a, int panel) const {
    return (panel * a.kernel_h * a.kernel_w + tap) * a.blocks + block;
  }
};

/// Starts the copies of a step: the rows of a tile as [part][row] of 16 bytes, kParts to a block of channels, with their
/// steps where a stage has them, and its weights as they are packed. Neighbouring threads have the parts of one row.
template <class T, int kThreads, int kParts>
struct BlockLoader {
  static constexpr int kRowsAtOnce = kThreads / kParts, kLoads = T::kRows / kRowsAtOnce;
  const ProductArguments& a;
  int first_panel;
  Steps steps;
  ReadRow rows[kLoads];

  __device__ BlockLoader(const ProductArguments& arguments, int first_row, int first)
      : a(arguments), first_panel(first), steps(arguments, first_row, T::kRows) {
    for (int j = 0; j < kLoads; ++j)
      rows[j] = read_row(a, first_row + kRowsAtOnce * j + static_cast<int>(threadIdx.x / kParts));
  }
  __device__ __forceinline__ void load(typename T::Stage& to) {
    constexpr int kChunks = sizeof(to.weights[0]) / 16;  // of a panel
    const int part = static_cast<int>(threadIdx.x % kParts), row = static_cast<int>(threadIdx.x / kParts);
    KB_UNROLL
    for (int j = 0; j < kLoads; ++j) {
      const bool valid = is_inside(a, rows[j], steps.ky, steps.kx);
      const int64_t block = valid ? steps.input_block(a, rows[j]) : 0;
      const uint4* from = static_cast<const uint4*>(a.mantissas) + kParts * block + part;
      cp_async16(&to.rows[part][row + kRowsAtOnce * j], from, valid);
      if constexpr (requires { to.steps; })
        if (part == 0) cp_async4(&to.steps[row + kRowsAtOnce * j], a.steps + block, valid);
    }
    const uint4* weights = static_cast<const uint4*>(a.weights);
    KB_UNROLL
    for (int i = static_cast<int>(threadIdx.x); i < T::kPanels * kChunks; i += kThreads) {
      const int panel = i / kChunks;
      const bool valid = first_panel + panel < a.panels;
      const int64_t block = valid ? steps.weight_block(a, first_panel + panel) : 0;
      cp_async16(reinterpret_cast<uint4*>(to.weights) + i, weights + block * kChunks + i % kChunks, valid);
    }
    steps.advance(a, 1);
  }
};

/// Conversions to float are slow: half the rate of additions on some GPUs, an eighth on others. So dot products begin
/// at kNoDot, the bits of 1.5 * 2^23, a float whose last bit counts 1: the sum, its bits read as a float, is then 1.5 *
/// 2^23 + dot, exactly while |dot| < 2^22. Here it is at most 32 * 255 * 128 < 2^20.
constexpr int kNoDot = 0x4b400000;
__device__ __forceinline__ float float_of_dot(int from_no_dot) { return __int_as_float(from_no_dot) - 12582912.0f; }

/// load(i) starts the copies of the next step to stage i, multiply(i) works on what is there. The barrier says that the
/// copies of all threads have arrived, and that all have done with the stage that is loaded next.
template <int kStages, class Load, class Multiply>
__device__ __forceinline__ void pipeline(int steps, const Load& load, const Multiply& multiply) {
  for (int i = 0; i < kStages - 1; ++i) {
    if (i < steps) load(i);
    cp_async_commit();
  }
  for (int i = 0; i < steps; ++i) {
    cp_async_wait<kStages - 2>();
    __syncthreads();
    if (i + kStages - 1 < steps) load((i + kStages - 1) % kStages);
    cp_async_commit();
    multiply(i % kStages);
  }
}

/// Writes the numbers of a warp, which begin at `row` and `panel`; y[i][j]: rows 16 i .. and outputs 8 j .. as mma has
/// them (tensor_core.h).
template <int kRowTiles, int kOutputTiles>
__device__ __forceinline__ void store_fragments(const ProductArguments& a, int row, int panel,
                                                const float (&y)[kRowTiles][kOutputTiles][4]) {
  const int g = static_cast<int>(threadIdx.x % 32) / 4, t = static_cast<int>(threadIdx.x % 4), rows = a.out_rows;
  KB_UNROLL
  for (int i = 0; i < kRowTiles; ++i) {
    KB_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int r = row + 16 * i + 8 * half + g;
      if (r >= rows) continue;
      float2* to = reinterpret_cast<float2*>(a.y + r * a.pitch + 16 * panel + 2 * t);
      KB_UNROLL
      for (int j = 0; j < kOutputTiles; ++j)
        if (panel + j / 2 < a.panels) to[4 * j] = make_float2(y[i][j][2 * half], y[i][j][2 * half + 1]);
    }
  }
}

inline int64_t tiles_of(const ProductArguments& a, int rows, int panels) {
  return static_cast<int64_t>((a.out_rows + rows - 1) / rows) * ((a.panels + panels - 1) / panels);
}
/// Two for every multiprocessor: with fewer tiles, smaller ones keep more of them busy. The simulated device has one
/// multiprocessor, so small tests reach large tiles.
#if defined(__CUDACC__)
inline int64_t many_tiles() {
  static const int multiprocessors = [] {
    int count = 0;
    check(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, 0), "properties of device 0");
    return count;
  }();
  return 2 * multiprocessors;
}
#else
inline int64_t many_tiles() { return 2; }
#endif

/// A grid of tiles: x rows, y panels.
inline Launch launch_of_tiles(const ProductArguments& a, int rows, int panels, int threads, size_t shared_bytes,
                              const DeviceQueue& queue) {
  Launch at;
  at.blocks_x = static_cast<unsigned>((a.out_rows + rows - 1) / rows);
  at.blocks_y = static_cast<unsigned>((a.panels + panels - 1) / panels);
  at.threads = static_cast<unsigned>(threads);
  at.shared_bytes = shared_bytes;
  at.stream = queue.stream;
  at.backward = queue.backward;
  return at;
}

}  // namespace kronbit::quant::KB_SIDE
