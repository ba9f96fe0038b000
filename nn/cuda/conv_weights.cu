// Convolution backward-weights: dw[o][tap][c] = sum over the rows of dy of dy[row][o] * x[source of row, tap][c], a
// product of matrices whose inner dimension is the rows. A block makes some outputs times eight units of 16 channels of
// a tap, from a part of the rows; the parts are summed in order by a second kernel.
//
// In shared memory both operands lie as in global memory, rows of the sum one after the other, so the fragments are
// loaded transposed. Pieces of 16 bytes change places by row, so that eight rows of one piece lie in different banks.
#include "nn/cuda/sides.h"
#include "tensor/cuda/bf16_lanes.h"
#include "tensor/cuda/tensor_core.h"

namespace kronbit::KB_SIDE {
namespace {

constexpr int kThreads = 128, kStages = 4, kRows = 32, kUnit = 16, kUnitsPerTile = 8, kColumns = kUnit * kUnitsPerTile;

struct GradientWork {
  const uint16_t *dy, *x;
  float* parts;         // [part][out_pitch][taps * pitch]
  int height, width;    // of x
  int out_width, rows;  // of dy
  int images, pitch, out_pitch, kernel_w, taps, stride, pad;
  int rows_of_part, column_tiles;
};

/// Where 16-byte piece `piece` of a row of kPieces (2, 4, or a multiple of 8) pieces lies.
template <int kPieces>
__device__ __forceinline__ int place_of(int row, int piece) {
  constexpr int kTurns = kPieces < 8 ? kPieces : 8, kEvery = 8 / kTurns;
  return (row * kPieces + (piece ^ (row / kEvery % kTurns))) * 8;
}

/// A row of dy and where it is, followed through the rows of a part.
struct Place {
  int h, w, n;
  __device__ __forceinline__ void start(const GradientWork& k, int row) {
    const int p = row / k.images;
    n = row - p * k.images;
    h = p / k.out_width;
    w = p - h * k.out_width;
  }
  __device__ __forceinline__ void advance(const GradientWork& k, int rows) {
    n += rows;
    if (n < k.images) return;
    const int pixels = n / k.images;
    n -= pixels * k.images;
    w += pixels;
    if (w < k.out_width) return;
    const int lines = w / k.out_width;
    w -= lines * k.out_width;
    h += lines;
  }
};

/// What a thread copies in every stage: a piece of a unit of x, in rows kApart apart, and pieces of dy.
template <int kOutputs>
struct Copier {
  static constexpr int kApart = kThreads / 16, kMineX = kRows / kApart;
  static constexpr int kPieces = kOutputs / 8, kMineY = (kRows * kPieces + kThreads - 1) / kThreads;
  Place place[kMineX];
  int row, end, piece, i, j, number, steps;
  bool live, skipping;  // live: this thread's unit exists; skipping: steps outside the image are left out

  __device__ __forceinline__ void start(const GradientWork& k, int first, int last, int first_unit) {
    const int t = static_cast<int>(threadIdx.x), units = k.pitch / kUnit;
    row = first;
    end = last;
    piece = t % 16;
    const int unit = first_unit + piece / 2, tap = unit / units;
    live = tap < k.taps;
    i = tap / k.kernel_w - k.pad;
    j = tap % k.kernel_w - k.pad;
    number = unit % units * kUnit + piece % 2 * 8;
    KB_UNROLL
    for (int r = 0; r < kMineX; ++r) place[r].start(k, first + t / 16 + kApart * r);
    // Where all units belong to one tap and every step to one pixel, a step is inside the image or it is not.
    const int last_unit = first_unit + kUnitsPerTile - 1;
    skipping =
        k.taps > 1 && k.images % kRows == 0 && first_unit / units == last_unit / units && last_unit / units < k.taps;
    steps = (last - first + kRows - 1) / kRows;
    if (!skipping) return;
    steps = 0;
    for (int p = first / k.images; p * k.images < last; ++p) {
      if (!inside(k, p / k.out_width, p % k.out_width)) continue;
      steps += (min(last, (p + 1) * k.images) - max(first, p * k.images)) / kRows;
    }
  }
  /// Whether the thread's tap meets the image at a pixel of dy.
  __device__ __forceinline__ bool inside(const GradientWork& k, int h, int w) const {
    const int x_h = h * k.stride + i, x_w = w * k.stride + j;
    return x_h >= 0 && x_h < k.height && x_w >= 0 && x_w < k.width;
  }
  /// Starts the copies of the next stage.
  __device__ __forceinline__ void copy(const GradientWork& k, int first_output, uint16_t* a, uint16_t* b) {
    const int t = static_cast<int>(threadIdx.x);
    while (skipping && row < end && !inside(k, place[0].h, place[0].w)) advance(k);
    KB_UNROLL
    for (int r = 0; r < kMineY; ++r) {
      const int q = t + r * kThreads, y_row = q / kPieces, output = first_output + q % kPieces * 8;
      const bool valid = row + y_row < end && output < k.out_pitch;
      if (y_row < kRows)
        cp_async16(a + place_of<kPieces>(y_row, q % kPieces),
                   valid ? k.dy + static_cast<int64_t>(row + y_row) * k.out_pitch + output : k.dy, valid);
    }
    KB_UNROLL
    for (int r = 0; r < kMineX; ++r) {
      const int x_row = t / 16 + kApart * r, h = place[r].h * k.stride + i, w = place[r].w * k.stride + j;
      const bool valid = live && row + x_row < end && inside(k, place[r].h, place[r].w);
      cp_async16(b + place_of<16>(x_row, piece),
                 valid ? k.x + (static_cast<int64_t>(h * k.width + w) * k.images + place[r].n) * k.pitch + number : k.x,
                 valid);
    }
    advance(k);
  }
  __device__ __forceinline__ void advance(const GradientWork& k) {
    KB_UNROLL
    for (int r = 0; r < kMineX; ++r) place[r].advance(k, kRows);
    row += kRows;
  }
};

template <int kOutputs>
__global__ void __launch_bounds__(kThreads, 2) gradient_kernel(GradientWork k) {
  constexpr int kAcross = kOutputs >= 64 ? 2 : 4, kDown = kThreads / 32 / kAcross;
  constexpr int kM = kOutputs / kDown / 16, kN = kColumns / kAcross / 16;  // products of a warp, 16 x 16 each
  constexpr int kStage = kRows * (kOutputs + kColumns);
  KB_DYNAMIC_SHARED(uint16_t, stages);

  const int column_tile = static_cast<int>(blockIdx.x) % k.column_tiles;
  const int first_output = static_cast<int>(blockIdx.x) / k.column_tiles * kOutputs;
  const int part = static_cast<int>(blockIdx.y), first = part * k.rows_of_part;
  const int last = min(k.rows, first + k.rows_of_part);

  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int down = warp / kAcross * kM * 16, across = warp % kAcross * kN * 16;
  float sum[kM][2 * kN][4] = {};

  Copier<kOutputs> copier;
  copier.start(k, first, last, column_tile * kUnitsPerTile);
  const int steps = copier.steps;
  for (int s = 0; s < kStages - 1; ++s) {
    uint16_t* a = stages + s * kStage;
    if (s < steps) copier.copy(k, first_output, a, a + kRows * kOutputs);
    cp_async_commit();
  }
  for (int step = 0; step < steps; ++step) {
    cp_async_wait<kStages - 2>();
    __syncthreads();
    if (step + kStages - 1 < steps) {
      uint16_t* a = stages + (step + kStages - 1) % kStages * kStage;
      copier.copy(k, first_output, a, a + kRows * kOutputs);
    }
    cp_async_commit();
    const uint16_t* a_stage = stages + step % kStages * kStage;
    const uint16_t* b_stage = a_stage + kRows * kOutputs;
    KB_UNROLL
    for (int u = 0; u < kRows / 16; ++u) {
      uint32_t a[kM][4], b[2 * kN][2];
      const int a_row = u * 16 + lane / 16 * 8 + lane % 8, b_row = u * 16 + lane / 8 % 2 * 8 + lane % 8;
      KB_UNROLL
      for (int m = 0; m < kM; ++m)
        ldmatrix_x4_trans(a[m], a_stage + place_of<kOutputs / 8>(a_row, down / 8 + m * 2 + lane / 8 % 2));
      KB_UNROLL
      for (int n = 0; n < kN; ++n) {
        uint32_t two[4];
        ldmatrix_x4_trans(two, b_stage + place_of<16>(b_row, across / 8 + n * 2 + lane / 16));
        b[2 * n][0] = two[0];
        b[2 * n][1] = two[1];
        b[2 * n + 1][0] = two[2];
        b[2 * n + 1][1] = two[3];
      }
      KB_UNROLL
      for (int m = 0; m < kM; ++m) KB_UNROLL
      for (int n = 0; n < 2 * kN; ++n) mma_bf16(sum[m][n], a[m], b[n]);
    }
  }
  cp_async_wait<0>();

  const int width = k.taps * k.pitch;
  float* to = k.parts + static_cast<int64_t>(part) * k.out_pitch * width;
  KB_UNROLL
  for (int m = 0; m < kM; ++m) {
    KB_UNROLL
    for (int n = 0; n < 2 * kN; ++n) {
      const int column = column_tile * kColumns + across + n * 8 + lane % 4 * 2;
      KB_UNROLL
      for (int i = 0; i < 2; ++i) {
        const int output = first_output + down + m * 16 + lane / 4 + 8 * i;
        if (output < k.out_pitch && column < width)
          *reinterpret_cast<float2*>(to + static_cast<int64_t>(output) * width + column) =
              make_float2(sum[m][n][2 * i], sum[m][n][2 * i + 1]);
      }
    }
  }
}

/// dw[o][c][tap] = sum over the parts, in order.
__global__ void reduce_kernel(const float* parts, int count, int outputs, int channels, int taps, int pitch,
                              int64_t stride, float* dw) {
  const int64_t width = static_cast<int64_t>(taps) * pitch;
  for (int64_t at = first_item(); at < outputs * width; at += item_step()) {
    const int c = static_cast<int>(at % pitch);
    if (c >= channels) continue;
    float sum = 0;
    for (int p = 0; p < count; ++p) sum += parts[p * stride + at];
    const int64_t o = at / width, tap = at % width / pitch;
    dw[(o * channels + c) * taps + tap] = sum;
  }
}

template <int kOutputs>
void start(GradientWork k, int parts, const DeviceQueue& queue) {
  const int units = k.taps * k.pitch / kUnit;
  k.column_tiles = (units + kUnitsPerTile - 1) / kUnitsPerTile;
  const int tiles = (k.out_pitch + kOutputs - 1) / kOutputs * k.column_tiles;
  launch({.blocks_x = static_cast<unsigned>(tiles),
          .blocks_y = static_cast<unsigned>(parts),
          .threads = kThreads,
          .shared_bytes = sizeof(uint16_t) * kStages * kRows * (kOutputs + kColumns),
          .stream = queue.stream,
          .backward = queue.backward},
         gradient_kernel<kOutputs>)(k);
}

}  // namespace

void conv_backward_weights(const nn::ConvGeometry& g, const bf16* dy, const bf16* x, float* workspace, float* dw,
                           const DeviceQueue& queue) {
  if (g.outputs == 0 || g.channels == 0) return;
  const int parts = nn::weight_gradient_parts(g), steps = (g.out_rows() + kRows - 1) / kRows;
  const GradientWork k{bits(dy),
                       bits(x),
                       workspace,
                       g.height,
                       g.width,
                       g.out_width(),
                       g.out_rows(),
                       g.images,
                       g.pitch(),
                       g.out_pitch(),
                       g.kernel_w,
                       g.taps(),
                       g.stride,
                       g.pad,
                       (steps + parts - 1) / parts * kRows,
                       0};
  const int outputs = nn::weight_gradient_outputs(g);
  if (g.out_rows() > 0) {
    outputs == 16   ? start<16>(k, parts, queue)
    : outputs == 32 ? start<32>(k, parts, queue)
    : outputs == 64 ? start<64>(k, parts, queue)
                    : start<128>(k, parts, queue);
  }
  const int64_t stride = static_cast<int64_t>(g.out_pitch()) * g.taps() * g.pitch();
  launch(blocks_for(static_cast<int64_t>(g.outputs) * g.taps() * g.pitch(), queue), reduce_kernel)(
      workspace, g.out_rows() > 0 ? parts : 0, g.outputs, g.channels, g.taps(), g.pitch(), stride, dw);
}

}  // namespace kronbit::KB_SIDE
