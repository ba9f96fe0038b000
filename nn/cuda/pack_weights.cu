// What a convolution's operands are made into before their product: weights as tensor cores read them, and the rows of
// the first convolution.
#include "nn/cuda/sides.h"
#include "tensor/cuda/bf16_lanes.h"

namespace kronbit::KB_SIDE {
namespace {

struct PackWork {
  const float* w;
  int channels, outputs, taps, pitch, out_pitch;
  uint16_t *forward, *backward;  // null: not wanted
};

/// Row 0 of the grid: forward[tap][c / 16][o][16] = w[o][c][tap]; row 1: backward[tap][o / 16][c][16]. Zeros beyond the
/// real channels.
__global__ void __launch_bounds__(kOpThreads) pack_kernel(PackWork k) {
  const bool transposed = blockIdx.y == 1;
  uint16_t* to = transposed ? k.backward : k.forward;
  if (to == nullptr) return;
  const unsigned columns = static_cast<unsigned>(transposed ? k.pitch : k.out_pitch);
  const unsigned units = static_cast<unsigned>(transposed ? k.out_pitch : k.pitch) / 16;
  const int64_t all = static_cast<int64_t>(k.taps) * k.pitch * k.out_pitch;
  for (int64_t at = first_item(); at < all; at += item_step()) {
    const auto place = static_cast<unsigned>(at / 16), group = place / columns;
    const int column = static_cast<int>(place % columns), tap = static_cast<int>(group / units);
    const int sum = static_cast<int>(group % units) * 16 + static_cast<int>(at % 16);
    const int o = transposed ? sum : column, c = transposed ? column : sum;
    const bool real = o < k.outputs && c < k.channels;
    to[at] = real ? to_bf16(k.w[(static_cast<int64_t>(o) * k.channels + c) * k.taps + tap]) : uint16_t{0};
  }
}

struct GatherWork {
  const uint16_t* x;
  uint16_t* to;
  int height, width, images, channels, pitch, to_pitch, out_width, kernel_w, taps, stride, pad;
  int64_t pieces;  // of eight numbers
};

__global__ void gather_kernel(GatherWork k) {
  const int pieces_of_row = k.to_pitch / 8;
  for (int64_t at = first_item(); at < k.pieces; at += item_step()) {
    const int64_t row = at / pieces_of_row;
    const int first = static_cast<int>(at % pieces_of_row) * 8, p = static_cast<int>(row / k.images);
    const int n = static_cast<int>(row % k.images);
    const int h = p / k.out_width * k.stride - k.pad, w = p % k.out_width * k.stride - k.pad;
    uint32_t words[4] = {};
    for (int i = 0; i < 8; ++i) {
      const int c = (first + i) / k.taps, tap = (first + i) % k.taps;
      const int sh = h + tap / k.kernel_w, sw = w + tap % k.kernel_w;
      if (c >= k.channels || sh < 0 || sh >= k.height || sw < 0 || sw >= k.width) continue;
      const uint16_t v = k.x[(static_cast<int64_t>(sh * k.width + sw) * k.images + n) * k.pitch + c];
      words[i / 2] |= static_cast<uint32_t>(v) << (16 * (i % 2));
    }
    *reinterpret_cast<uint4*>(k.to + at * 8) = make_uint4(words[0], words[1], words[2], words[3]);
  }
}

}  // namespace

void pack_weights(const nn::ConvGeometry& g, const float* w, bf16* forward, bf16* backward, const DeviceQueue& queue) {
  Launch at = blocks_for(nn::packed_weights(g), queue);
  if (at.blocks_x == 0) return;
  at.blocks_y = 2;
  launch(at, pack_kernel)(
      PackWork{w, g.channels, g.outputs, g.taps(), g.pitch(), g.out_pitch(), bits(forward), bits(backward)});
}

void gather(const nn::ConvGeometry& g, const bf16* x, bf16* gathered, const DeviceQueue& queue) {
  const int to_pitch = nn::channels_pitch(g.channels * g.taps());
  const int64_t pieces = static_cast<int64_t>(g.out_rows()) * to_pitch / 8;
  if (pieces == 0) return;
  launch(blocks_for(pieces, queue),
         gather_kernel)(GatherWork{bits(x), bits(gathered), g.height, g.width, g.images, g.channels, g.pitch(),
                                   to_pitch, g.out_width(), g.kernel_w, g.taps(), g.stride, g.pad, pieces});
}

}  // namespace kronbit::KB_SIDE
