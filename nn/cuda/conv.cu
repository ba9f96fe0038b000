// Convolution forward and backward-data: an implicit product of matrices on tensor cores. Rows of the result are
// (pixel, image), columns its channels; summed over are units of 16 channels of one tap. A tile of rows is images of
// one pixel or a few: which input rows a tap reads follows from the geometry, and a tap that is outside the image for
// all rows of the tile is left out. Both directions are one kernel: row (u, v) of the result reads source row (u *
// multiply + sign * i + offset) / divide for tap i, where that is whole and inside.
//
// In shared memory a unit of a tile is [row][16]: two pieces of 16 bytes, which change places in every other group of
// four rows, so that the eight rows that ldmatrix reads at a time lie in different banks.
#include "nn/cuda/sides.h"
#include "tensor/cuda/bf16_lanes.h"
#include "tensor/cuda/failure.h"
#include "tensor/cuda/tensor_core.h"

namespace kronbit::KB_SIDE {
namespace {

constexpr int kThreads = 128, kStages = 4, kUnits = 2, kUnit = 16, kMostTaps = 64;

struct ConvWork {
  const uint16_t *x, *w;
  uint16_t* y;
  const float* centre;
  float* parts;
  int height, width;    // of x
  int out_width, rows;  // of y
  int images, pitch, out_pitch, outputs;
  int kernel_w, taps;
  int multiply, divide, sign, offset;
};

/// The source index that tap `tap` meets from place u * multiply + offset; -1 where there is none.
__device__ __forceinline__ int source_of(const ConvWork& k, int place, int tap, int extent) {
  const int t = place + k.sign * tap;
  if (t < 0) return -1;
  const int s = k.divide == 1 ? t : t / k.divide;
  return s * k.divide == t && s < extent ? s : -1;
}

/// Place of number 8 * half of a row in a unit.
__device__ __forceinline__ int place_of(int row, int half) { return row * kUnit + (half ^ (row >> 2 & 1)) * 8; }

/// The taps that any row of the tile needs: how many, and in order. All threads of the block.
__device__ __forceinline__ int list_taps(const ConvWork& k, int first, int last, int* list) {
  __shared__ int used[kMostTaps];
  const int tap = static_cast<int>(threadIdx.x);
  if (tap < k.taps) {
    const int i = tap / k.kernel_w, j = tap % k.kernel_w;
    int found = 0;
    for (int p = first / k.images; p <= last / k.images && !found; ++p)
      found = source_of(k, p / k.out_width * k.multiply + k.offset, i, k.height) >= 0 &&
              source_of(k, p % k.out_width * k.multiply + k.offset, j, k.width) >= 0;
    used[tap] = found;
  }
  __syncthreads();
  int count = 0, before = 0;
  for (int t = 0; t < k.taps; ++t) {
    if (t < tap) before += used[t];
    count += used[t];
  }
  if (tap < k.taps && used[tap]) list[before] = tap;
  __syncthreads();
  return count;
}

/// What a thread copies in every stage: 16 bytes of one unit, of rows kApart apart of both operands.
template <int kRows, int kColumns>
struct Copier {
  static constexpr int kApart = kThreads / 4;
  static constexpr int kMine = kRows / kApart, kMineW = (kColumns + kApart - 1) / kApart;
  int unit, half, row;      // row of the tile
  int number, entry, seen;  // first number of the unit in its tap; the tap's entry of the list; the one of from[]
  int h[kMine], w[kMine], n[kMine];
  const uint16_t* from[kMine];
  const uint16_t* weights;

  __device__ __forceinline__ void start(const ConvWork& k, int first) {
    const int t = static_cast<int>(threadIdx.x);
    unit = t % 4 / 2;
    half = t % 2;
    row = t / 4;
    number = unit * kUnit;
    entry = 0;
    seen = -1;
    weights = k.w;
    settle(k.pitch);
    KB_UNROLL
    for (int i = 0; i < kMine; ++i) {
      const int r = first + row + i * kApart, p = r / k.images;
      h[i] = r < k.rows ? p / k.out_width * k.multiply + k.offset : -(1 << 29);  // no source for any tap
      w[i] = p % k.out_width * k.multiply + k.offset;
      n[i] = r - p * k.images;
      from[i] = nullptr;
    }
  }
  __device__ __forceinline__ void settle(int pitch) {
    while (number >= pitch) {
      number -= pitch;
      ++entry;
    }
  }
  /// Starts the copies of the next stage.
  __device__ __forceinline__ void copy(const ConvWork& k, const int* list, int count, int first_column, uint16_t* a,
                                       uint16_t* b) {
    const bool live = entry < count;
    if (live && entry != seen) {
      const int tap = list[entry], i = tap / k.kernel_w, j = tap - i * k.kernel_w;
      KB_UNROLL
      for (int r = 0; r < kMine; ++r) {
        const int sh = source_of(k, h[r], i, k.height), sw = source_of(k, w[r], j, k.width);
        from[r] = sh < 0 || sw < 0
                      ? nullptr
                      : k.x + (static_cast<int64_t>(sh * k.width + sw) * k.images + n[r]) * k.pitch + half * 8;
      }
      weights = k.w + static_cast<int64_t>(tap) * k.pitch * k.out_pitch + (first_column + row) * kUnit + half * 8;
      seen = entry;
    }
    KB_UNROLL
    for (int r = 0; r < kMine; ++r) {
      const bool valid = live && from[r] != nullptr;
      cp_async16(a + unit * kRows * kUnit + place_of(row + r * kApart, half), valid ? from[r] + number : k.x, valid);
    }
    KB_UNROLL
    for (int r = 0; r < kMineW; ++r) {
      const int column = row + r * kApart;
      const bool valid = live && first_column + column < k.out_pitch;
      if (column < kColumns)
        cp_async16(b + unit * kColumns * kUnit + place_of(column, half),
                   valid ? weights + number * k.out_pitch + r * kApart * kUnit : k.w, valid);
    }
    number += kUnits * kUnit;
    settle(k.pitch);
  }
};

/// Sums of y - centre and its square over the rows of a tile that lies in shared memory, `stride` numbers per row.
template <int kColumns, int kRows>
__device__ __forceinline__ void sum_columns(const ConvWork& k, const uint16_t* tile, int stride, int live_rows,
                                            int tile_row, int first_column) {
  constexpr int kParts = kThreads / kColumns;
  __shared__ float sums[2][kThreads];
  const int t = static_cast<int>(threadIdx.x), column = t % kColumns, part = t / kColumns;
  const int channel = first_column + column;
  const float centre = channel < k.outputs ? k.centre[channel] : 0.0f;
  float sum = 0, squares = 0;
  for (int r = part * (kRows / kParts); r < min(live_rows, (part + 1) * (kRows / kParts)); ++r) {
    const float d = bf16_value(tile[r * stride + column]) - centre;
    sum += d;
    squares += d * d;
  }
  sums[0][t] = sum;
  sums[1][t] = squares;
  __syncthreads();
  if (t >= kColumns || channel >= k.out_pitch) return;
  for (int p = 1; p < kParts; ++p) {
    sum += sums[0][t + p * kColumns];
    squares += sums[1][t + p * kColumns];
  }
  float* to = k.parts + static_cast<int64_t>(tile_row) * 2 * k.out_pitch + channel;
  to[0] = sum;
  to[k.out_pitch] = squares;
}

template <int kRows, int kColumns>
constexpr size_t shared_bytes() {
  constexpr size_t stages = sizeof(uint16_t) * kStages * kUnits * kUnit * (kRows + kColumns);
  constexpr size_t tile = sizeof(uint16_t) * kRows * (kColumns + 8);
  return stages > tile ? stages : tile;
}

template <int kRows, int kColumns>
__global__ void __launch_bounds__(kThreads, kColumns >= 128              ? 2
                                            : kRows * kColumns > 64 * 64 ? 3
                                                                         : 4) conv_kernel(ConvWork k) {
  // Four warps: the more numbers a warp makes, the more often it uses what it loads from shared memory, whose bandwidth
  // is the narrowest place.
  constexpr int kAcross = kColumns >= 64 ? 2 : 1, kDown = kThreads / 32 / kAcross;
  constexpr int kM = kRows / kDown / 16, kN = kColumns / kAcross / 16;  // products of a warp, 16 x 16 each
  constexpr int kStage = kUnits * kUnit * (kRows + kColumns);
  __shared__ int list[kMostTaps];
  KB_DYNAMIC_SHARED(uint16_t, stages);

  const int column_tiles = (k.out_pitch + kColumns - 1) / kColumns;
  const int tile_row = static_cast<int>(blockIdx.x) / column_tiles;
  const int first = tile_row * kRows, first_column = static_cast<int>(blockIdx.x) % column_tiles * kColumns;
  const int count = list_taps(k, first, min(first + kRows, k.rows) - 1, list);
  const int steps = (count * (k.pitch / kUnit) + kUnits - 1) / kUnits;

  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int down = warp / kAcross * kM * 16, across = warp % kAcross * kN * 16;
  const int a_place = place_of(down + lane % 16, lane / 16);
  const int b_place = place_of(across + lane / 16 * 8 + lane % 8, lane / 8 % 2);
  float sum[kM][2 * kN][4] = {};

  Copier<kRows, kColumns> copier;
  copier.start(k, first);
  for (int s = 0; s < kStages - 1; ++s) {
    uint16_t* a = stages + s * kStage;
    if (s < steps) copier.copy(k, list, count, first_column, a, a + kUnits * kUnit * kRows);
    cp_async_commit();
  }
  for (int step = 0; step < steps; ++step) {
    cp_async_wait<kStages - 2>();
    __syncthreads();
    if (step + kStages - 1 < steps) {
      uint16_t* a = stages + (step + kStages - 1) % kStages * kStage;
      copier.copy(k, list, count, first_column, a, a + kUnits * kUnit * kRows);
    }
    cp_async_commit();
    const uint16_t* a_stage = stages + step % kStages * kStage;
    const uint16_t* b_stage = a_stage + kUnits * kUnit * kRows;
    KB_UNROLL
    for (int u = 0; u < kUnits; ++u) {
      uint32_t a[kM][4], b[2 * kN][2];
      KB_UNROLL
      for (int m = 0; m < kM; ++m) ldmatrix_x4(a[m], a_stage + u * kRows * kUnit + a_place + m * 16 * kUnit);
      KB_UNROLL
      for (int n = 0; n < kN; ++n) {
        uint32_t two[4];
        ldmatrix_x4(two, b_stage + u * kColumns * kUnit + b_place + n * 16 * kUnit);
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
  __syncthreads();

  // Through shared memory, so that rows are written in pieces of 16 bytes.
  constexpr int kStride = kColumns + 8;
  uint16_t* tile = stages;
  KB_UNROLL
  for (int m = 0; m < kM; ++m) {
    KB_UNROLL
    for (int n = 0; n < 2 * kN; ++n) {
      uint16_t* at = tile + (down + m * 16 + lane / 4) * kStride + across + n * 8 + lane % 4 * 2;
      *reinterpret_cast<uint32_t*>(at) = pack_bf16(sum[m][n][0], sum[m][n][1]);
      *reinterpret_cast<uint32_t*>(at + 8 * kStride) = pack_bf16(sum[m][n][2], sum[m][n][3]);
    }
  }
  __syncthreads();
  const int live_rows = min(kRows, k.rows - first);
  for (int i = static_cast<int>(threadIdx.x); i < kRows * kColumns / 8; i += kThreads) {
    const int row = i / (kColumns / 8), column = i % (kColumns / 8) * 8;
    if (row < live_rows && first_column + column < k.out_pitch)
      *reinterpret_cast<uint4*>(k.y + static_cast<int64_t>(first + row) * k.out_pitch + first_column + column) =
          *reinterpret_cast<const uint4*>(tile + row * kStride + column);
  }
  if (k.parts != nullptr) sum_columns<kColumns, kRows>(k, tile, kStride, live_rows, tile_row, first_column);
}

template <int kRows, int kColumns>
void start(const ConvWork& k, const DeviceQueue& queue) {
  const int rows = (k.rows + kRows - 1) / kRows, columns = (k.out_pitch + kColumns - 1) / kColumns;
  if (rows * columns == 0) return;
  launch({.blocks_x = static_cast<unsigned>(rows * columns),
          .threads = kThreads,
          .shared_bytes = shared_bytes<kRows, kColumns>(),
          .stream = queue.stream,
          .backward = queue.backward},
         conv_kernel<kRows, kColumns>)(k);
}

void run(const ConvWork& k, int least_blocks, const DeviceQueue& queue) {
  if (k.taps > kMostTaps) device_failure("a convolution", "its kernel has more than 64 taps");
  const nn::ConvTile tile = nn::conv_tile(k.rows, k.out_pitch, least_blocks);
  if (tile.columns == 16) return start<128, 16>(k, queue);
  if (tile.columns == 32) return start<128, 32>(k, queue);
  if (tile.rows == 64) return start<64, 64>(k, queue);
  if (tile.columns == 64) return start<128, 64>(k, queue);
  start<128, 128>(k, queue);
}

}  // namespace

void conv_forward(const nn::ConvGeometry& g, const bf16* x, const bf16* packed, bf16* y, const nn::ConvSums& sums,
                  const DeviceQueue& queue) {
  run({bits(x), bits(packed), bits(y), sums.centre, sums.parts, g.height, g.width, g.out_width(), g.out_rows(),
       g.images, g.pitch(), g.out_pitch(), g.outputs, g.kernel_w, g.taps(), g.stride, 1, 1, -g.pad},
      g.least_blocks, queue);
}

void conv_backward_data(const nn::ConvGeometry& g, const bf16* dy, const bf16* packed, bf16* dx,
                        const DeviceQueue& queue) {
  run({bits(dy), bits(packed), bits(dx), nullptr, nullptr, g.out_height(), g.out_width(), g.width, g.rows(), g.images,
       g.out_pitch(), g.pitch(), g.channels, g.kernel_w, g.taps(), 1, g.stride, -1, g.pad},
      g.least_blocks, queue);
}

}  // namespace kronbit::KB_SIDE
