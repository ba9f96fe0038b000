// The block product of bytes for AVX-VNNI, processors with VPDPBUSD on 256 bits only: half a panel in a register.
//
// A tile of y, 3 rows x 1 panel, stays in registers over all taps and blocks: 6 sums of integers + 6 of floats + 2
// weights + 1 broadcast <= 16. A block of it: 48 products and 18 operations on floats from 18 vectors of weights and
// 27 broadcasts.
#include <immintrin.h>

#include "quant/kernels/int8/format.h"
#include "quant/kernels/int8/tiles.h"
#include "tensor/cpu.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma,avxvnni")

namespace kronbit::quant {
namespace {

using int8::kBlockBytes;
using int8::kStepBytes;
using int8::kSteps;

template <bool kSigned, int R>
void tile(const Product& a, int64_t row, int64_t panel) {
  __m256 y[R][2];
  for (auto& of_row : y)
    for (__m256& v : of_row) v = _mm256_setzero_ps();
  for (const Tap& tap : a.spec.taps) {
    const TapRows<R> x(a.x, tap.x_rows + row);
    const std::byte* w = a.weights + panel * a.panel_bytes + tap.tap * a.tap_bytes;
    for (int64_t k = 0; k < a.x.blocks; ++k, w += kBlockBytes) {
      __m256i dot[R][2];
#pragma GCC unroll 3
      for (int r = 0; r < R; ++r) {
        dot[r][0] = _mm256_setzero_si256();
        if constexpr (kSigned)
          dot[r][0] = _mm256_mullo_epi32(_mm256_set1_epi32(-a.bias), _mm256_set1_epi32(x.sums[r][k]));
        dot[r][1] = dot[r][0];
      }
#pragma GCC unroll 8
      for (int j = 0; j < kSteps; ++j) {
        __m256i wv[2];
#pragma GCC unroll 2
        for (int h = 0; h < 2; ++h)
          wv[h] = _mm256_load_si256(reinterpret_cast<const __m256i*>(w + j * kStepBytes + 32 * h));
#pragma GCC unroll 3
        for (int r = 0; r < R; ++r) {
          const __m256i mv = _mm256_set1_epi32(x.four(r, k, j));
#pragma GCC unroll 2
          for (int h = 0; h < 2; ++h)
            dot[r][h] =
                kSigned ? _mm256_dpbusd_avx_epi32(dot[r][h], wv[h], mv) : _mm256_dpbusd_avx_epi32(dot[r][h], mv, wv[h]);
        }
      }
      const auto* multiplier = reinterpret_cast<const float*>(w + kSteps * kStepBytes);
#pragma GCC unroll 3
      for (int r = 0; r < R; ++r) {
        const __m256 step = _mm256_set1_ps(x.steps[r][k]);
#pragma GCC unroll 2
        for (int h = 0; h < 2; ++h)
          y[r][h] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot[r][h]),
                                    _mm256_mul_ps(_mm256_load_ps(multiplier + 8 * h), step), y[r][h]);
      }
    }
  }
  for (int r = 0; r < R; ++r)
    for (int h = 0; h < 2; ++h) _mm256_storeu_ps(a.y(row + r, panel) + 8 * h, y[r][h]);
}

template <bool kSigned>
void run_form(const Product& a) {
  using Tile = void (*)(const Product&, int64_t, int64_t);
  static constexpr Tile kTiles[] = {tile<kSigned, 1>, tile<kSigned, 2>, tile<kSigned, 3>};
  for (int64_t panel = a.spec.first_panel; panel < a.spec.first_panel + a.spec.panels; ++panel)
    for_row_tiles(a.spec.rows, 3, [&](int64_t row, int64_t rows) { kTiles[rows - 1](a, row, panel); });
}

void run(const LayerShape& shape, const std::byte* weights, const RowsView& x, const ProductSpec& spec) {
  const int64_t tap_bytes = shape.blocks() * kBlockBytes;
  const Product a{weights, x, spec, shape.taps * tap_bytes, tap_bytes, int8::bias(shape)};
  shape.activations.is_signed ? run_form<true>(a) : run_form<false>(a);
}

bool supported() { return cpu().avx2 && cpu().fma && cpu().avx_vnni; }

}  // namespace

const BlockKernel kInt8AvxVnni{.name = "int8-avxvnni",
                               .family = "int8",
                               .needs = "avx2 fma avx-vnni",
                               .supported = supported,
                               .exact = true,
                               .form = RowForm::Bytes,
                               .packed_bytes = int8::packed_bytes,
                               .pack = int8::pack,
                               .run = run};

}  // namespace kronbit::quant

#pragma GCC pop_options
