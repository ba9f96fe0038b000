// The steps between block products: one thread for every number of the output.
#include "quant/engine/device/steps.h"

#include "tensor/cuda/items.h"

namespace kronbit::quant::KB_SIDE {
namespace {

using namespace kronbit::KB_SIDE;  // NOLINT: the dialect

__device__ __forceinline__ void dense(const DenseStep& s, int64_t i) {
  const int64_t row = i / s.out_lanes;
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

__device__ __forceinline__ void rowwise(const RowwiseStep& s, int64_t i) {
  float v = s.x[i];
  if (s.scale != nullptr) v = __fadd_rn(__fmul_rn(v, s.scale[i % s.lanes]), s.shift[i % s.lanes]);
  if (s.residual != nullptr) v = __fadd_rn(v, s.residual[i]);
  s.y[i] = s.relu && v <= 0 ? 0.0f : v;
}

__device__ __forceinline__ void pool(const PoolStep& s, int64_t i) {
  const int64_t pixel = i / s.lanes, lane = i % s.lanes;
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

__device__ __forceinline__ void gather(const GatherStep& s, int64_t i) {
  const int64_t row = i / s.channels;
  const int c = static_cast<int>(i % s.channels), n = static_cast<int>(row % s.images);
  const int64_t pixel = row / s.images;
  const int64_t from = pixel / s.out_width * s.stride * s.width + pixel % s.out_width * s.stride;
  s.y[row * s.y_pitch + s.first + c] = s.x[(from * s.images + n) * s.x_pitch + c];
}

__device__ __forceinline__ void flatten(const FlattenStep& s, int64_t i) {
  const int64_t row = i / s.channels;
  const int c = static_cast<int>(i % s.channels), n = static_cast<int>(row % s.images);
  const int64_t p = row / s.images;
  s.y[n * s.y_pitch + static_cast<int64_t>(c) * s.pixels + p] = s.x[row * s.x_pitch + c];
}

template <class Step, void (*kItem)(const Step&, int64_t)>
__global__ void __launch_bounds__(kOpThreads) items_kernel(Step step, int64_t items) {
  for (int64_t i = first_item(); i < items; i += item_step()) kItem(step, i);
}

template <class Step, void (*kItem)(const Step&, int64_t)>
void start(const Step& step, int64_t items, void* stream) {
  launch(blocks_for(items, {stream, false}), items_kernel<Step, kItem>)(step, items);
}

int64_t out_rows(const auto& step) { return static_cast<int64_t>(step.out_height) * step.out_width * step.images; }

}  // namespace

const DeviceSteps kDeviceSteps = {
    .dense = [](const DenseStep& s, void* stream) { start<DenseStep, dense>(s, out_rows(s) * s.out_lanes, stream); },
    .rowwise = [](const RowwiseStep& s, void* stream) { start<RowwiseStep, rowwise>(s, s.rows * s.lanes, stream); },
    .pool = [](const PoolStep& s,
               void* stream) { start<PoolStep, pool>(s, s.lanes * s.out_height * s.out_width, stream); },
    .gather = [](const GatherStep& s, void* stream) { start<GatherStep, gather>(s, out_rows(s) * s.channels, stream); },
    .flatten =
        [](const FlattenStep& s, void* stream) {
          start<FlattenStep, flatten>(s, static_cast<int64_t>(s.pixels) * s.images * s.channels, stream);
        },
};

}  // namespace kronbit::quant::KB_SIDE
