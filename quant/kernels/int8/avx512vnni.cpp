// The block product of bytes for AVX-512 with VNNI: one VPDPBUSD does four channels of 16 outputs.
//
// A tile of y, rows x panels, stays in registers over all taps and blocks. A block of 6 rows and 2 panels: 96 products,
// 12 conversions, 12 multiplications, 12 multiply-adds from 18 vectors of weights and 54 broadcasts; 12 sums of
// integers + 12 of floats + 2 weights + 2 multipliers + broadcasts <= 32 registers. Fewer rows take more panels, so
// that a broadcast serves more products and enough of them are independent.
#include <immintrin.h>

#include <algorithm>

#include "quant/kernels/int8/format.h"
#include "quant/kernels/int8/tiles.h"
#include "tensor/cpu.h"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // false for the intrinsics of GCC 12 (its bug 105593)

namespace kronbit::quant {
namespace {

using int8::kBlockBytes;
using int8::kStepBytes;
using int8::kSteps;

/// How far ahead weights are asked for, in bytes: 7 blocks.
constexpr int64_t kPrefetch = 4096;

template <bool kSigned, int R, int P>
void tile(const Product& a, int64_t row, int64_t panel) {
  __m512 y[R][P];
  for (auto& of_row : y)
    for (__m512& v : of_row) v = _mm512_setzero_ps();
  for (const Tap& tap : a.spec.taps) {
    const TapRows<R> x(a.x, tap.x_rows + row);
    const std::byte* w = a.weights + panel * a.panel_bytes + tap.tap * a.tap_bytes;
    for (int64_t k = 0; k < a.x.blocks; ++k, w += kBlockBytes) {
      if constexpr (R >= 4) {  // fewer rows read so fast that asking ahead costs more than it gains
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p)
#pragma GCC unroll 9
          for (int line = 0; line <= kSteps; ++line)
            _mm_prefetch(reinterpret_cast<const char*>(w + p * a.panel_bytes + kPrefetch + line * kStepBytes),
                         _MM_HINT_T0);
      }
      __m512i dot[R][P];
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        __m512i start = _mm512_setzero_si512();
        if constexpr (kSigned) start = _mm512_mullo_epi32(_mm512_set1_epi32(-a.bias), _mm512_set1_epi32(x.sums[r][k]));
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p) dot[r][p] = start;
      }
#pragma GCC unroll 8
      for (int j = 0; j < kSteps; ++j) {
        __m512i wv[P];
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p) wv[p] = _mm512_load_si512(w + p * a.panel_bytes + j * kStepBytes);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
          const __m512i mv = _mm512_set1_epi32(x.four(r, k, j));
#pragma GCC unroll 4
          for (int p = 0; p < P; ++p)
            dot[r][p] = kSigned ? _mm512_dpbusd_epi32(dot[r][p], wv[p], mv) : _mm512_dpbusd_epi32(dot[r][p], mv, wv[p]);
        }
      }
      __m512 multiplier[P];
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p)
        multiplier[p] = _mm512_load_ps(reinterpret_cast<const float*>(w + p * a.panel_bytes + kSteps * kStepBytes));
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const __m512 s = _mm512_set1_ps(x.steps[r][k]);
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p)
          y[r][p] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[r][p]), _mm512_mul_ps(multiplier[p], s), y[r][p]);
      }
    }
  }
  for (int r = 0; r < R; ++r)
    for (int p = 0; p < P; ++p) _mm512_storeu_ps(a.y(row + r, panel + p), y[r][p]);
}

/// All rows of P panels.
template <bool kSigned, int P, int kMaxRows>
void all_rows(const Product& a, int64_t panel) {
  using Tile = void (*)(const Product&, int64_t, int64_t);
  static constexpr Tile kTiles[] = {
      tile<kSigned, 1, P>,
      tile<kSigned, std::min(2, kMaxRows), P>,
      tile<kSigned, std::min(3, kMaxRows), P>,
      tile<kSigned, std::min(4, kMaxRows), P>,
      tile<kSigned, std::min(5, kMaxRows), P>,
      tile<kSigned, std::min(6, kMaxRows), P>,
  };
  for_row_tiles(a.spec.rows, kMaxRows, [&](int64_t row, int64_t rows) { kTiles[rows - 1](a, row, panel); });
}

template <bool kSigned>
void run_form(const Product& a) {
  const int64_t end = a.spec.first_panel + a.spec.panels;
  int64_t panel = a.spec.first_panel;
  if (a.spec.rows <= 3)
    for (; panel + 4 <= end; panel += 4) all_rows<kSigned, 4, 3>(a, panel);
  for (; panel + 2 <= end; panel += 2) all_rows<kSigned, 2, 6>(a, panel);
  for (; panel < end; ++panel) all_rows<kSigned, 1, 6>(a, panel);
}

void run(const LayerShape& shape, const std::byte* weights, const RowsView& x, const ProductSpec& spec) {
  const int64_t tap_bytes = shape.blocks() * kBlockBytes;
  const Product a{weights, x, spec, shape.taps * tap_bytes, tap_bytes, int8::bias(shape)};
  shape.activations.is_signed ? run_form<true>(a) : run_form<false>(a);
}

bool supported() { return cpu().avx512f && cpu().avx512bw && cpu().avx512dq && cpu().avx512vl && cpu().avx512_vnni; }

}  // namespace

const BlockKernel kInt8Avx512Vnni{.name = "int8-avx512vnni",
                                  .family = "int8",
                                  .needs = "avx512f avx512bw avx512dq avx512vl avx512-vnni",
                                  .supported = supported,
                                  .exact = true,
                                  .form = RowForm::Bytes,
                                  .packed_bytes = int8::packed_bytes,
                                  .pack = int8::pack,
                                  .run = run};

}  // namespace kronbit::quant

#pragma GCC pop_options
