// Training images out of a set that stays in the device's memory: shifted, mirrored and normalized as the host says.
#include "nn/cuda/sides.h"
#include "tensor/cuda/bf16_lanes.h"

namespace kronbit::KB_SIDE {
namespace {

constexpr int kPitch = nn::channels_pitch(3);
static_assert(kPitch == 16, "a pixel is two pieces of eight numbers");

__global__ void __launch_bounds__(kOpThreads)
    crop_kernel(nn::ImageSet set, const nn::CropChoice* choices, int images, int64_t items, uint16_t* x) {
  for (int64_t item = first_item(); item < items; item += item_step()) {
    const int pixel = static_cast<int>(item / images), n = static_cast<int>(item % images);
    const nn::CropChoice k = choices[n];
    const int column = pixel % set.width;
    const int h = pixel / set.width + k.dy, w = (k.flip != 0 ? set.width - 1 - column : column) + k.dx;
    const bool inside = h >= 0 && h < set.height && w >= 0 && w < set.width;
    Eight numbers = {};
    for (int c = 0; c < 3; ++c) {
      const int64_t at = ((static_cast<int64_t>(k.image) * set.height + h) * set.width + w) * 3 + c;
      numbers.v[c] = set.values[c * 256 + (inside ? set.rgb[at] : 0)];
    }
    store_eight(x + item * kPitch, numbers);
    store_eight(x + item * kPitch + 8, {});
  }
}

}  // namespace

void crop_images(const nn::ImageSet& set, const nn::CropChoice* choices, int images, bf16* x,
                 const DeviceQueue& queue) {
  const int64_t items = static_cast<int64_t>(set.height) * set.width * images;
  if (items > 0) launch(blocks_for(items, queue), crop_kernel)(set, choices, images, items, bits(x));
}

}  // namespace kronbit::KB_SIDE
