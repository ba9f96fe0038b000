// Copies: channels between activations, and flattening. Numbers are only moved, bf16 as the 16 bits they are.
#include "nn/cuda/sides.h"

namespace kronbit::KB_SIDE {
namespace {

__global__ void __launch_bounds__(kOpThreads)
    channels_kernel(nn::ChannelCopy c, int64_t items, const uint16_t* x, uint16_t* y) {
  for (int64_t item = first_item(); item < items; item += item_step()) {
    const int64_t row = item / c.y_pitch;
    const int lane = static_cast<int>(item % c.y_pitch) - c.first, n = static_cast<int>(row % c.images);
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
    if (inside) {
      y[item] = x[((static_cast<int64_t>(h) * c.x_width + w) * c.images + n) * c.x_pitch + lane + c.x_first];
    } else if (!c.keep) {
      y[item] = 0;
    }
  }
}

__global__ void __launch_bounds__(kOpThreads)
    flatten_kernel(nn::FlattenGeometry g, int pitch, int flat_pitch, const uint16_t* x, uint16_t* flat) {
  for (int64_t item = first_item(); item < static_cast<int64_t>(g.images) * flat_pitch; item += item_step()) {
    const int64_t n = item / flat_pitch;
    const int at = static_cast<int>(item % flat_pitch), p = at % g.pixels, c = at / g.pixels;
    flat[item] = c < g.channels ? x[(static_cast<int64_t>(p) * g.images + n) * pitch + c] : uint16_t{0};
  }
}

__global__ void __launch_bounds__(kOpThreads)
    unflatten_kernel(nn::FlattenGeometry g, int pitch, int flat_pitch, const uint16_t* flat, uint16_t* x) {
  for (int64_t item = first_item(); item < static_cast<int64_t>(g.pixels) * g.images * pitch; item += item_step()) {
    const int64_t row = item / pitch, n = row % g.images, p = row / g.images;
    const int c = static_cast<int>(item % pitch);
    x[item] = c < g.channels ? flat[n * flat_pitch + static_cast<int64_t>(c) * g.pixels + p] : uint16_t{0};
  }
}

}  // namespace

void copy_channels(const nn::ChannelCopy& c, const DeviceQueue& queue) {
  const int64_t items = static_cast<int64_t>(c.height) * c.width * c.images * c.y_pitch;
  if (items > 0) launch(blocks_for(items, queue), channels_kernel)(c, items, bits(c.x), bits(c.y));
}

void flatten(const nn::FlattenGeometry& g, const bf16* x, bf16* flat, const DeviceQueue& queue) {
  const int64_t items = static_cast<int64_t>(g.images) * g.flat_pitch();
  if (items > 0) launch(blocks_for(items, queue), flatten_kernel)(g, g.pitch(), g.flat_pitch(), bits(x), bits(flat));
}

void unflatten(const nn::FlattenGeometry& g, const bf16* flat, bf16* x, const DeviceQueue& queue) {
  const int64_t items = static_cast<int64_t>(g.pixels) * g.images * g.pitch();
  if (items > 0) launch(blocks_for(items, queue), unflatten_kernel)(g, g.pitch(), g.flat_pitch(), bits(flat), bits(x));
}

}  // namespace kronbit::KB_SIDE
