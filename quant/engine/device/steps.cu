// The steps between block products: one thread for every number of the output.
#include "quant/engine/device/steps.h"

#include "tensor/cuda/simt.h"

namespace kronbit::quant::KB_SIDE {
namespace {

using namespace kronbit::KB_SIDE;  // NOLINT: the dialect

constexpr unsigned kThreads = 128;

/// As many blocks as give every one of n numbers a thread.
Launch one_each(int64_t n, void* stream) {
  Launch at;
  at.blocks_x = static_cast<unsigned>((n + kThreads - 1) / kThreads);
  at.threads = kThreads;
  at.stream = stream;
  return at;
}

__device__ __forceinline__ int64_t global_index() {
  return static_cast<int64_t>(blockIdx.x) * kThreads + static_cast<int64_t>(threadIdx.x);
}

__global__ void dense_kernel(DenseStep s) {
  const int64_t i = global_index();
  const int64_t row = i / s.out_lanes;
  if (row >= static_cast<int64_t>(s.out_height) * s.out_width * s.images) return;
  const int o = static_cast<int>(i % s.out_lanes), n = static_cast<int>(row % s.images);
  const int pixel = static_cast<int>(row / s.images);
  const int h = pixel / s.out_width * s.stride - s.pad, w = pixel % s.out_width * s.stride - s.pad;
  float y = 0;
  for (int ky = 0; ky < s.kernel_h; ++ky) {
    for (int kx = 0; kx < s.kernel_w; ++kx) {
      if (h + ky < 0 || h + ky >= s.height || w + kx < 0 || w + kx >= s.width) continue;
      const float* x = s.x + ((static_cast<int64_t>(h + ky) * s.width + w + kx) * s.images + n) * s.x_pitch;
      const float* weights = s.w + static_cast<int64_t>(ky * s.kernel_w + kx) * s.channels * s.out_lanes + o;
      for (int c = 0; c < s.channels; ++c) y = __fmaf_rn(x[c], weights[static_cast<int64_t>(c) * s.out_lanes], y);
    }
  }
  s.y[i] = y;
}

__global__ void rowwise_kernel(RowwiseStep s) {
  const int64_t i = global_index();
  if (i >= s.rows * s.lanes) return;
  float v = s.x[i];
  if (s.scale != nullptr) v = __fadd_rn(__fmul_rn(v, s.scale[i % s.lanes]), s.shift[i % s.lanes]);
  if (s.residual != nullptr) v = __fadd_rn(v, s.residual[i]);
  s.y[i] = s.relu && !(v > 0) ? 0.0f : v;
}

__global__ void pool_kernel(PoolStep s) {
  const int64_t i = global_index();
  const int64_t pixel = i / s.lanes, lane = i % s.lanes;
  if (pixel >= static_cast<int64_t>(s.out_height) * s.out_width) return;
  const DeviceWindow down = s.down[pixel / s.out_width], across = s.across[pixel % s.out_width];
  float sum = 0, best = 0;
  bool first = true, nan = false;
  for (int h = down.begin; h < down.end; ++h) {
    for (int w = across.begin; w < across.end; ++w) {
      const float v = s.x[(static_cast<int64_t>(h) * s.width + w) * s.lanes + lane];
      sum = __fadd_rn(sum, v);
      best = first || v > best ? v : best;
      nan = nan || v != v;
      first = false;
    }
  }
  if (s.maximum) {
    s.y[i] = nan ? __uint_as_float(0x7fc00000u) : best;
    return;
  }
  const int count = (down.end - down.begin) * (across.end - across.begin);
  const int inside = s.count_include_pad ? down.padded_length * across.padded_length : count;
  s.y[i] = __fmul_rn(static_cast<float>(1.0 / inside), sum);
}

__global__ void gather_kernel(GatherStep s) {
  const int64_t i = global_index();
  const int64_t row = i / s.channels;
  const int c = static_cast<int>(i % s.channels), n = static_cast<int>(row % s.images);
  if (row >= static_cast<int64_t>(s.out_height) * s.out_width * s.images) return;
  const int64_t pixel = row / s.images;
  const int64_t from = pixel / s.out_width * s.stride * s.width + pixel % s.out_width * s.stride;
  s.y[row * s.y_pitch + s.first + c] = s.x[(from * s.images + n) * s.x_pitch + c];
}

__global__ void flatten_kernel(FlattenStep s) {
  const int64_t i = global_index();
  const int64_t row = i / s.channels;
  const int c = static_cast<int>(i % s.channels), n = static_cast<int>(row % s.images);
  const int64_t p = row / s.images;
  if (p >= s.pixels) return;
  s.y[n * s.y_pitch + static_cast<int64_t>(c) * s.pixels + p] = s.x[row * s.x_pitch + c];
}

}  // namespace

const DeviceSteps kDeviceSteps = {
    .dense =
        [](const DenseStep& s, void* stream) {
          const int64_t rows = static_cast<int64_t>(s.out_height) * s.out_width * s.images;
          launch(one_each(rows * s.out_lanes, stream), dense_kernel)(s);
        },
    .rowwise = [](const RowwiseStep& s,
                  void* stream) { launch(one_each(s.rows * s.lanes, stream), rowwise_kernel)(s); },
    .pool = [](const PoolStep& s,
               void* stream) { launch(one_each(s.lanes * s.out_height * s.out_width, stream), pool_kernel)(s); },
    .gather =
        [](const GatherStep& s, void* stream) {
          const int64_t rows = static_cast<int64_t>(s.out_height) * s.out_width * s.images;
          launch(one_each(rows * s.channels, stream), gather_kernel)(s);
        },
    .flatten =
        [](const FlattenStep& s, void* stream) {
          launch(one_each(static_cast<int64_t>(s.pixels) * s.images * s.channels, stream), flatten_kernel)(s);
        },
};

}  // namespace kronbit::quant::KB_SIDE
