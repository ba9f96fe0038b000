// The folded product for AVX512-BF16: VDPBF16PS multiplies two channels in one step and adds both products to a sum in
// f32. The lanes of a vector are the 16 outputs of a panel; the two channels of a row are one 32-bit broadcast.
//
// Registers: up to 12 rows x 2 panels of sums, 4 vectors of weights (two pairs of channels, or one with hi and lo), one
// broadcast. Two pairs of channels for 12 rows are 48 products, which two units do in 24 cycles; loads are 4 vectors of
// weights, 24 broadcasts and 12 addresses of rows (more than there are registers).
#include <immintrin.h>

#include <array>
#include <cstring>
#include <utility>

#include "quant/kernels/bf16/weights.h"
#include "tensor/brgemm/tiles.h"
#include "tensor/cpu.h"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512bf16")

namespace kronbit::quant {
namespace {

constexpr int64_t kLanes = 16;

/// What is the same for all tiles of a call.
struct Call {
  const LayerShape& shape;
  const std::byte* weights;
  const RowsView& x;
  const ProductSpec& spec;
};

__m512bh pair_of(const std::byte* a) {
  int32_t both;
  std::memcpy(&both, a, sizeof both);
  return reinterpret_cast<__m512bh>(_mm512_set1_epi32(both));
}
__m512bh vector_of(const std::byte* b) { return reinterpret_cast<__m512bh>(_mm512_loadu_si512(b)); }

/// Sets of sums that take turns: few sums would wait for the latency of the product.
constexpr int sets_for(int sums) { return sums >= 12 ? 1 : sums >= 4 ? 2 : 4; }

/// One tile of y: R rows, V panels.
template <bool kSplit, int R, int V>
void tile(const Call& call, int64_t row, int64_t panel, float* y) {
  constexpr int kSets = sets_for(R * V), kPairs = kSets > 2 ? kSets : 2, kParts = folded_parts(kSplit);
  constexpr int64_t kBlockBytes = kParts * kFoldedTile * 2;
  const int64_t blocks = call.shape.blocks(), panel_bytes = call.shape.taps * blocks * kBlockBytes;
  const int64_t pitch = call.x.row_bytes();
  __m512 sum[kSets][R][V] = {};
  for (const Tap& tap : call.spec.taps) {
    const std::byte* a[R];
    for (int r = 0; r < R; ++r) a[r] = call.x.mantissas + tap.x_rows[row + r] * pitch;
    const std::byte* b = call.weights + panel * panel_bytes + tap.tap * blocks * kBlockBytes;
    for (int64_t at = 0; at < 64 * blocks; at += 64, b += kBlockBytes) {
      for (int64_t p = 0; p < 16; p += kPairs) {
        const std::byte* bp = b + 64 * p;
#pragma GCC unroll 24
        for (int r = 0; r < R; ++r) {
          const std::byte* ap = a[r] + at + 4 * p;
#pragma GCC unroll 4
          for (int pair = 0; pair < kPairs; ++pair) {
            const __m512bh av = pair_of(ap + 4 * pair);
#pragma GCC unroll 2
            for (int v = 0; v < V; ++v) {
#pragma GCC unroll 2
              for (int part = 0; part < kParts; ++part) {
                const __m512bh bv = vector_of(bp + v * panel_bytes + part * kFoldedTile * 2 + 64 * pair);
                sum[pair % kSets][r][v] = _mm512_dpbf16_ps(sum[pair % kSets][r][v], bv, av);
              }
            }
          }
        }
      }
    }
  }
#pragma GCC unroll 24
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
#pragma GCC unroll 4
      for (int set = 1; set < kSets; ++set) sum[0][r][v] = _mm512_add_ps(sum[0][r][v], sum[set][r][v]);
      _mm512_storeu_ps(y + r * call.spec.pitch + v * kLanes, sum[0][r][v]);
    }
  }
}

using Tile = void (*)(const Call&, int64_t, int64_t, float*);
/// Tiles of 1, 2, ... rows.
template <bool kSplit, int V, int... R>
constexpr std::array<Tile, sizeof...(R)> tiles(std::integer_sequence<int, R...>) {
  return {tile<kSplit, R + 1, V>...};
}
// One panel is rare: panels come in twos.
template <bool kSplit>
constexpr auto kOnePanel = tiles<kSplit, 1>(std::make_integer_sequence<int, 12>());
template <bool kSplit>
constexpr auto kTwoPanels = tiles<kSplit, 2>(std::make_integer_sequence<int, 12>());

template <bool kSplit>
void run(const LayerShape& shape, const std::byte* weights, const RowsView& x, const ProductSpec& spec) {
  const Call call{shape, weights, x, spec};
  for_each_tile(spec.rows, spec.panels * kLanes, kLanes, 12, 12, [&](const TilePlace& at) {
    const Tile tile_of_rows = (at.width > kLanes ? kTwoPanels<kSplit> : kOnePanel<kSplit>)[at.rows - 1];
    tile_of_rows(call, at.row, spec.first_panel + at.column / kLanes, spec.y + at.row * spec.pitch + at.column);
  });
}

template <bool kSplit>
constexpr BlockKernel kernel(std::string_view name, std::string_view family) {
  return {.name = name,
          .family = family,
          .needs = "avx512-bf16 avx512bw avx512vl",
          .supported = [] { return cpu().avx512_bf16 && cpu().avx512bw && cpu().avx512vl; },
          .exact = false,
          .form = RowForm::Bf16,
          .packed_bytes = folded_bytes<kSplit>,
          .pack = pack_folded<kSplit>,
          .run = run<kSplit>};
}

}  // namespace

const BlockKernel kBf16Avx512 = kernel<false>("bf16-avx512bf16", "bf16");
const BlockKernel kBf16SplitAvx512 = kernel<true>("bf16-split-avx512bf16", "bf16-split");

}  // namespace kronbit::quant

#pragma GCC pop_options
