// One thread for every number of the result.
#include "nn/cuda/copies.h"

#include "tensor/cuda/simt.h"

namespace kronbit::KB_SIDE {
namespace {

constexpr unsigned kThreads = 256;

Launch one_each(int64_t count, const DeviceQueue& queue) {
  Launch at;
  at.blocks_x = static_cast<unsigned>((count + kThreads - 1) / kThreads);
  at.threads = kThreads;
  at.stream = queue.stream;
  at.backward = queue.backward;
  return at;
}

__device__ __forceinline__ int64_t global_index() {
  return static_cast<int64_t>(blockIdx.x) * kThreads + static_cast<int64_t>(threadIdx.x);
}

// Numbers are only moved: bf16 as the 16 bits they are.
__global__ void channels_kernel(nn::ChannelCopy c) {
  const int64_t i = global_index();
  const int64_t row = i / c.y_pitch;
  if (row >= static_cast<int64_t>(c.height) * c.width * c.images) return;
  const int lane = static_cast<int>(i % c.y_pitch) - c.first, n = static_cast<int>(row % c.images);
  const int pixel = static_cast<int>(row / c.images);
  int h = pixel / c.width, w = pixel % c.width;
  bool inside = lane >= 0 && lane < c.channels;
  if (c.stride > 0) {
    h *= c.stride;
    w *= c.stride;
  } else {
    inside = inside && h % -c.stride == 0 && w % -c.stride == 0;
    h /= -c.stride;
    w /= -c.stride;
  }
  auto* y = reinterpret_cast<uint16_t*>(c.y);
  const auto* x = reinterpret_cast<const uint16_t*>(c.x);
  if (inside) {
    y[i] = x[((static_cast<int64_t>(h) * c.x_width + w) * c.images + n) * c.x_pitch + lane + c.x_first];
  } else if (!c.keep) {
    y[i] = 0;
  }
}

__global__ void flatten_kernel(nn::FlattenCopy c) {
  const int64_t i = global_index();
  auto* flat = reinterpret_cast<uint16_t*>(c.flat);
  const int64_t n = i / c.flat_pitch;
  const int at = static_cast<int>(i % c.flat_pitch);
  if (n >= c.images) return;
  if (at >= c.channels * c.pixels) {
    flat[i] = 0;
    return;
  }
  const int64_t row = static_cast<int64_t>(at % c.pixels) * c.images + n;
  flat[i] = reinterpret_cast<const uint16_t*>(c.map)[row * c.map_pitch + at / c.pixels];
}

__global__ void unflatten_kernel(nn::FlattenCopy c) {
  const int64_t i = global_index();
  const int64_t row = i / c.map_pitch;
  const int channel = static_cast<int>(i % c.map_pitch);
  if (row >= static_cast<int64_t>(c.pixels) * c.images) return;
  const int64_t n = row % c.images, p = row / c.images;
  reinterpret_cast<uint16_t*>(c.map)[i] =
      channel < c.channels
          ? reinterpret_cast<const uint16_t*>(c.flat)[n * c.flat_pitch + static_cast<int64_t>(channel) * c.pixels + p]
          : uint16_t{0};
}

}  // namespace

const nn::DeviceCopies kDeviceCopies = {
    .channels =
        [](const nn::ChannelCopy& c, const DeviceQueue& queue) {
          const int64_t rows = static_cast<int64_t>(c.height) * c.width * c.images;
          launch(one_each(rows * c.y_pitch, queue), channels_kernel)(c);
        },
    .flatten =
        [](const nn::FlattenCopy& c, const DeviceQueue& queue) {
          if (c.back) {
            const int64_t rows = static_cast<int64_t>(c.pixels) * c.images;
            launch(one_each(rows * c.map_pitch, queue), unflatten_kernel)(c);
          } else {
            launch(one_each(static_cast<int64_t>(c.images) * c.flat_pitch, queue), flatten_kernel)(c);
          }
        },
};

}  // namespace kronbit::KB_SIDE
